"""Pictures and regions from tensors: channels, alpha, range, and the digest of the content."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from ..errors import ImageError
from ..mix import Picture, Region


def picture(pixels: Tensor) -> Picture:
    """Make one picture from [H, W, C] or [1, H, W, C] with C = 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha).

    The result holds [1, H, W, 3], float32, on the CPU: clamped to 0 to 1, grey repeated, alpha composited on white.
    Its digest is the SHA-256 (hex) of that shape and those bytes.
    Raises ImageError on another layout, a batch, an empty image, values that are not floats, and NaN or infinity.
    """
    return _picture(single_rgb(pixels))


def pictures(batch: Tensor) -> tuple[Picture, ...]:
    """Make a picture of each item of a batch [B, H, W, C], as `picture` does. Raises ImageError as `picture` does."""
    if batch.dim() != 4:
        raise ImageError(f"A batch of images is [batch, height, width, channels], not {list(batch.shape)}.")
    return tuple(_picture(one.unsqueeze(0)) for one in rgb(batch))


def region(mask: Tensor) -> Region:
    """Make the region where an ingredient acts from a mask [H, W] or [1, H, W]: float or bool, clamped to 0 to 1.

    The result holds [H, W], float32, on the CPU. Raises ImageError on another layout, several masks, NaN and infinity.
    """
    one = mask.unsqueeze(0) if mask.dim() == 2 else mask
    if one.dim() != 3 or not one.numel() or not (one.is_floating_point() or one.dtype == torch.bool):
        raise ImageError(f"A region is a mask [height, width] of floats, not {list(mask.shape)} of {_dtype(mask)}.")
    if one.shape[0] != 1:
        raise ImageError(f"One mask is needed for a region, not a batch of {one.shape[0]}: pick one of them.")
    values = _floats(one[0], "mask")
    return Region(_digest(values), values)


def single_rgb(pixels: Tensor) -> Tensor:
    """Return [1, H, W, 3] as `rgb` does. Raises ImageError as `rgb` does, and on a batch."""
    batch = rgb(pixels)
    if batch.shape[0] != 1:
        raise ImageError(f"One picture is needed here, not a batch of {batch.shape[0]}: pick one of them.")
    return batch


def rgb(pixels: Tensor) -> Tensor:
    """Return [B, H, W, 3], float32, 0 to 1, contiguous, on the CPU, from [H, W, C] or [B, H, W, C].

    Raises ImageError on another layout, an empty image, values that are not floats, and NaN or infinity.
    """
    batch = pixels.unsqueeze(0) if pixels.dim() == 3 else pixels
    if batch.dim() != 4 or not 1 <= batch.shape[-1] <= 4:
        raise ImageError(f"An image is [height, width, 1 to 4 channels], not {list(pixels.shape)}.")
    if not batch.numel():
        raise ImageError(f"The image is empty: its shape is {list(pixels.shape)}.")
    if not batch.is_floating_point():
        raise ImageError(f"An image holds floats from 0 to 1, not {_dtype(pixels)}: divide bytes by 255.")
    values = _floats(batch, "image")
    if values.shape[-1] in (2, 4):
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    return values.expand(*values.shape[:-1], 3).contiguous()


def _picture(pixels: Tensor) -> Picture:
    return Picture(_digest(pixels), pixels)


def _floats(values: Tensor, name: str) -> Tensor:
    """Copy to float32, clamped to 0 to 1, contiguous, on the CPU. Raises ImageError on NaN and infinity."""
    floats = values.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(floats).all()):
        raise ImageError(
            f"The {name} holds NaN or infinity: check the node that made it, often a VAE running in half precision."
        )
    return floats.clamp(0.0, 1.0).contiguous()


def _dtype(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")


def _digest(values: Tensor) -> str:
    digest = hashlib.sha256(repr(tuple(values.shape)).encode())
    digest.update(values.numpy().data)
    return digest.hexdigest()
