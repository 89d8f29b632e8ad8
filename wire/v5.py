"""The v5 wire format: POST /img_mixer, images and weights as comma-separated text (source: its documentation page)."""

from __future__ import annotations

from .answers import Answer, decode_answer
from .request import Limits, MixRequest

NAME = "v5"
MIX_PATH = "/img_mixer"
FETCH_PATH = "/fetch/"

LIMITS = Limits(
    images=16, samples=4, steps=(1, 100), guidance_scale=(1.0, 20.0), side=(8, 1024), numeric_track_id=False
)
"""Steps: the page's text says 50, its own example sends 100 and gets an answer. It names no largest count of images."""


def encode(request: MixRequest, say_weights: bool) -> dict[str, object]:
    """The JSON fields of `request` but for the key; what is not given is null, as in the page's example."""
    fields: dict[str, object] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "init_image": ",".join(url.replace(",", "%2C") for url in request.images),
        "steps": request.steps,
        "guidance_scale": whole(request.guidance_scale),
        "seed": request.seed,
        "samples": request.samples,
        "webhook": request.webhook,
        "track_id": request.track_id or None,
    }
    if say_weights:
        fields["init_image_weights"] = comma_weights(request.weights)
    if request.width is not None and request.height is not None:
        fields |= {"width": request.width, "height": request.height}
    return fields


def comma_weights(weights: tuple[float, ...]) -> str:
    """Weights as the service's text: "0.5,0.7". At most six decimals, never an exponent, never a 0 for what acts."""
    return ",".join(f"{max(w, 1e-6):.6f}".rstrip("0").rstrip(".") for w in weights)


def whole(number: float) -> float:
    """A number as the documents show it: 10, not 10.0."""
    return int(number) if float(number).is_integer() else number


def decode(status: int, body: bytes, retry_after: str = "") -> Answer:
    """What the service answered. `status` is the HTTP status, `retry_after` that header."""
    return decode_answer(status, body, retry_after)
