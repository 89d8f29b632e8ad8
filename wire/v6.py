"""The v6 wire format: POST /image_editing/img_mixer (source: the service's OpenAPI description)."""

from __future__ import annotations

from .answers import decode_answer
from .declaration import Wire
from .fields import comma_weights, whole
from .request import Limits, MixRequest

LIMITS = Limits(images=4, samples=1, steps=(1, 50), guidance_scale=(1.0, 20.0), side=(256, 1024), numeric_track_id=True)


def encode(request: MixRequest, send_weights: bool) -> dict[str, object]:
    """Return the JSON fields of `request` without the key. Weights are sent in the field of v5, since v6 documents none."""
    fields: dict[str, object] = {
        "prompt": request.prompt,
        "init_image": list(request.images),
        "steps": request.steps,
        "guidance_scale": whole(request.guidance_scale),
        "samples": request.samples,
    }
    if send_weights:
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


WIRE = Wire(
    name="v6",
    mix_path="/image_editing/img_mixer",
    fetch_path="/image_editing/fetch/",
    limits=LIMITS,
    encode=encode,
    decode=decode_answer,
    documents_weights=False,
    list_path="/assets_generated",
    count_path="/processing/request_count",
    upload_paths=(("/image_editing/base64_to_url", "init_image"), ("/base64_to_url", "base64_string")),
)
