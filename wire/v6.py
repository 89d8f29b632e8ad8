"""The v6 wire format: POST /image_editing/img_mixer (source: the service's OpenAPI description)."""

from __future__ import annotations

from .answers import Answer, decode_answer
from .request import Limits, MixRequest
from .v5 import comma_weights, whole

NAME = "v6"
MIX_PATH = "/image_editing/img_mixer"
FETCH_PATH = "/image_editing/fetch/"
LIST_PATH = "/assets_generated"
COUNT_PATH = "/processing/request_count"
UPLOAD_PATHS = (("/image_editing/base64_to_url", "init_image"), ("/base64_to_url", "base64_string"))
"""Where a data URI is uploaded, and the field that carries it: today's page first."""

LIMITS = Limits(images=4, samples=1, steps=(1, 50), guidance_scale=(1.0, 20.0), side=(256, 1024), numeric_track_id=True)


def encode(request: MixRequest, say_weights: bool) -> dict[str, object]:
    """The JSON fields of `request` but for the key. With `say_weights`, v5's field carries the weights."""
    fields: dict[str, object] = {
        "prompt": request.prompt,
        "init_image": list(request.images),
        "steps": request.steps,
        "guidance_scale": whole(request.guidance_scale),
        "samples": request.samples,
    }
    if say_weights:
        fields["init_image_weights"] = comma_weights(request.weights)
    if request.negative_prompt:
        fields["negative_prompt"] = request.negative_prompt
    if request.width is not None and request.height is not None:
        fields |= {"width": request.width, "height": request.height}
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.webhook:
        fields["webhook"] = request.webhook
    if request.track_id:
        fields["track_id"] = int(request.track_id)
    return fields


def decode(status: int, body: bytes, retry_after: str = "") -> Answer:
    """What the service answered. `status` is the HTTP status, `retry_after` that header."""
    return decode_answer(status, body, retry_after)
