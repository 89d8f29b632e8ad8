"""The v5 wire format: POST /img_mixer, images and weights as comma-separated text (source: its documentation page)."""

from __future__ import annotations

from .answers import decode_answer
from .declaration import Wire
from .fields import comma_weights, whole
from .request import Limits, MixRequest

LIMITS = Limits(
    images=16, samples=4, steps=(1, 100), guidance_scale=(1.0, 20.0), side=(8, 1024), numeric_track_id=False
)
"""Steps: the page's text says 50, but its own example sends 100 and gets an answer. It states no maximum of images."""


def encode(request: MixRequest, send_weights: bool) -> dict[str, object]:
    """Return the JSON fields of `request` without the key. Optional fields are null, as in the page's example."""
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
    if send_weights:
        fields["init_image_weights"] = comma_weights(request.weights)
    if request.width is not None and request.height is not None:
        fields |= {"width": request.width, "height": request.height}
    return fields


WIRE = Wire(
    name="v5",
    mix_path="/img_mixer",
    fetch_path="/fetch/",
    limits=LIMITS,
    encode=encode,
    decode=decode_answer,
    documents_weights=True,
)
