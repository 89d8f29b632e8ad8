"""What makes two jobs the same job. Frozen: what was paid for under an identity is never paid for again.

The encodings below look like wire formats but are not. They stay as version 0.1.0 wrote them, whatever the formats
become. A format that is newer counts every field of the request that differs from its default.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

from ...wire.request import MixRequest


def job_identity(base_url: str, wire: str, request: MixRequest, weights_sent: bool, take: int, sample: int) -> str:
    """Return the SHA-256 (hex) of everything that changes the image of a job, and of its `take`.

    In `request.images`, a picture is given by its content hash. `sample` counts only if the service draws the seed.
    """
    parts: dict[str, object] = {
        "place": base_url.rstrip("/"),
        "wire": wire,
        "fields": _fields(wire, request, weights_sent),
        "take": take,
    }
    if request.seed is None:
        parts["sample"] = sample
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def attempt_identity(first: str, attempt: int, resent: bool) -> str:
    """Return the identity of a later attempt at the job whose first attempt is `first`.

    `attempt` is the counter at which it is paid; `resent` marks the repetition of an attempt that got no clear answer.
    """
    if not attempt and not resent:
        return first
    return hashlib.sha256(f"{first} attempt {attempt}{' sent again' if resent else ''}".encode()).hexdigest()


def _v5(request: MixRequest, weights_sent: bool) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "init_image": ",".join(url.replace(",", "%2C") for url in request.images),
        "steps": request.steps,
        "guidance_scale": float(request.guidance_scale),
        "seed": request.seed,
        "samples": request.samples,
    }
    return sent | _shared(request, weights_sent)


def _v6(request: MixRequest, weights_sent: bool) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "prompt": request.prompt,
        "init_image": list(request.images),
        "steps": request.steps,
        "guidance_scale": float(request.guidance_scale),
        "samples": request.samples,
    }
    if request.negative_prompt:
        sent["negative_prompt"] = request.negative_prompt
    if request.seed is not None:
        sent["seed"] = request.seed
    return sent | _shared(request, weights_sent)


def _shared(request: MixRequest, weights_sent: bool) -> dict[str, Any]:
    sent: dict[str, Any] = {}
    if weights_sent:
        sent["init_image_weights"] = ",".join(
            f"{max(weight, 1e-6):.6f}".rstrip("0").rstrip(".") for weight in request.weights
        )
    if request.width is not None and request.height is not None:
        sent |= {"width": request.width, "height": request.height}
    return sent


_FROZEN = {"v5": _v5, "v6": _v6}
"""The encodings of 0.1.0, by the names of that time. They never change."""

_LABELS = ("webhook", "track_id")
"""Fields of a request that change nothing about the image."""


def _fields(wire: str, request: MixRequest, weights_sent: bool) -> dict[str, Any]:
    """Return all that changes the image of a job.

    A format that 0.1.0 did not know counts every field of the request that differs from its default, so that a field
    added later leaves the identities of earlier jobs alone.
    """
    if wire in _FROZEN:
        return _FROZEN[wire](request, weights_sent)
    without = _LABELS if weights_sent else (*_LABELS, "weights")
    values = {one.name: getattr(request, one.name) for one in fields(request) if one.name not in without}
    defaults = {one.name: one.default for one in fields(request)}
    return {name: value for name, value in values.items() if value != defaults[name]}
