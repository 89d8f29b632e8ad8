"""Whether a job in the account's list is one of ours that got no clear answer: only if its `meta` proves it.

Showing the picture of another job is worse than a missing picture, so nothing here is approximate. Whole numbers are
equal or not; one that is equal only after rounding to a double neither proves nor disproves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Verdict = Literal["ours", "open", "another's"]

MARK = "#image-mixer-"
"""Begins the fragment that names the attempt, on the URL of one of our own uploads, for services that echo it."""

_NAMES = {
    "width": "W",
    "height": "H",
    "steps": "steps",
    "guidance_scale": "guidance_scale",
    "samples": "n_samples",
    "negative_prompt": "negative_prompt",
    "init_image_weights": "init_image_weights",
}


def verdict(meta: Mapping[str, Any], request: Mapping[str, Any], own: Iterable[str], alike: int) -> Verdict:
    """Return whether `meta`, the service's echo of a job, comes from `request`.

    "ours" if it repeats the seed, the prompt and the images, at least one of them an upload of our own (`own`), and
    contradicts nothing; if `alike` other jobs share those three, it must also repeat every field that may tell them apart.
    "another's" if its seed certainly differs. Otherwise "open": a service may have rewritten a URL, a prompt or the
    weights.
    """
    seed, images = request.get("seed"), _images(request.get("init_image"))
    same_seed = _same_seed(meta.get("seed"), seed)
    if same_seed is False:
        return "another's"
    finer = [_finer(meta, request, name, echoed) for name, echoed in _NAMES.items() if name in request]
    proved = (
        same_seed is True
        and bool(set(own) & set(images))
        and meta.get("prompt") == request.get("prompt")
        and _images(meta.get("init_image")) == images
        and False not in finer
        and not (alike and None in finer)
    )
    return "ours" if proved else "open"


def core(request: Mapping[str, Any]) -> tuple[Any, Any, tuple[str, ...]]:
    """Return what two jobs have in common if only their finer fields can tell them apart."""
    return _whole(request.get("seed")), request.get("prompt"), _images(request.get("init_image"))


def marks(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the attempts that are named in the fragments of a job's image URLs."""
    return tuple(url.partition(MARK)[2] for url in _listed(meta.get("init_image")) if MARK in url)


def _finer(meta: Mapping[str, Any], request: Mapping[str, Any], name: str, echoed: str) -> bool | None:
    value = meta.get(echoed, meta.get(name))
    if value is None:
        return None
    if name == "init_image_weights":
        ours, theirs = (_numbers(one) for one in (request[name], value))
        return None if theirs is None else ours == theirs
    if isinstance(request[name], str):
        return bool(value == request[name])
    return _same(value, request[name])


def _same_seed(value: Any, wanted: Any) -> bool | None:
    """Return whether an echoed seed is the one that was sent.

    None if that cannot be told: it is missing, or it is what rounding to a double or a narrower integer would leave.
    """
    echoed, ours = _whole(value), _whole(wanted)
    if not isinstance(ours, int) or isinstance(echoed, bool):
        return None
    if isinstance(echoed, int):
        if echoed == ours:
            return True
        narrowed = (echoed - ours) % 2**31 == 0 or (ours > echoed and echoed in (2**31 - 1, 2**32 - 1, 2**53 - 1))
        return None if narrowed or float(echoed) == float(ours) else False
    number = _float(echoed)
    return None if number is None or number == float(ours) else False


def _same(value: Any, wanted: Any) -> bool | None:
    """Return whether two numbers are equal; None if one of them is not a number."""
    number, ours = _float(value), _float(wanted)
    return None if number is None or ours is None else math.isclose(number, ours, rel_tol=1e-9)


def _whole(value: Any) -> Any:
    """Return a whole number, also from digits and from a double that holds it exactly; any other value as it is."""
    if isinstance(value, str) and value.isascii() and value.strip().lstrip("-").isdigit() and len(value) < 22:
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _numbers(value: Any) -> tuple[float | None, ...] | None:
    if isinstance(value, str):
        value = value.split(",")
    return tuple(_float(one) for one in value) if isinstance(value, list) else None


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    return tuple(str(url).strip() for url in value if url) if isinstance(value, list) else ()


def _images(value: Any) -> tuple[str, ...]:
    return tuple(url.partition(MARK)[0].replace(",", "%2C") for url in _listed(value))
