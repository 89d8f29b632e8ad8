"""Whether a job in the account's list is the one that was sent and got no answer: only where its `meta` proves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_NAMES = {
    "width": "W", "height": "H", "steps": "steps", "guidance_scale": "guidance_scale", "samples": "n_samples",
    "negative_prompt": "negative_prompt", "init_image_weights": "init_image_weights",
}


def proves(meta: Mapping[str, Any], request: Mapping[str, Any], own: Iterable[str], alike: int) -> bool:
    """Whether `meta`, the service's echo of a job, can only come from `request`.

    It must repeat the seed, the prompt and the images, one of them an upload of our own (`own`), and contradict
    nothing. Where `alike` other unsettled jobs share those three, it must repeat every field that may tell them apart.
    """
    images = _images(request.get("init_image"))
    if not set(own) & set(images) or request.get("seed") is None:
        return False
    if _text(meta.get("seed")) != _text(request["seed"]) or meta.get("prompt") != request.get("prompt"):
        return False
    if _images(meta.get("init_image")) != images:
        return False
    for name, echoed in _NAMES.items():
        if name in request and (alike or meta.get(echoed) is not None):
            if echoed not in meta and name not in meta:
                return False
            if _text(meta.get(echoed, meta.get(name))) != _text(request[name]):
                return False
    return True


def core(request: Mapping[str, Any]) -> tuple[str, Any, tuple[str, ...]]:
    """What two jobs share when only their finer fields can tell them apart."""
    return _text(request.get("seed")), request.get("prompt"), _images(request.get("init_image"))


def _images(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return ()
    return tuple(str(url).strip().replace(",", "%2C") for url in value)


def _text(value: Any) -> str:
    try:
        return f"{float(value):.6g}" if not isinstance(value, (str, bool)) or value.isdigit() else str(value)  # type: ignore[union-attr]
    except (TypeError, ValueError, OverflowError):
        return repr(value)
