"""Resizing of images and masks."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def resized(pixels: Tensor, width: int, height: int) -> Tensor:
    """Resize [B, H, W, 3] to [B, height, width, 3]: bicubic with antialiasing, clamped to 0 to 1, float32."""
    return resampled(pixels, height, width).clamp(0.0, 1.0)


def resized_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Resize [H, W] to [height, width]: bilinear with antialiasing, clamped to 0 to 1, float32."""
    scaled = functional.interpolate(mask.float()[None, None], (height, width), mode="bilinear", antialias=True)
    return scaled[0, 0].clamp(0.0, 1.0)


def resampled(pixels: Tensor, height: int, width: int) -> Tensor:
    """Resize [B, H, W, 3] bicubically (a = -0.5 with antialiasing, as Pillow does) without clamping.

    Bicubic interpolation overshoots at edges, so the result may leave 0 to 1.
    """
    if pixels.shape[1:3] == (height, width):
        return pixels.float()
    planes = pixels.float().movedim(-1, 1)
    return functional.interpolate(planes, (height, width), mode="bicubic", antialias=True).movedim(1, -1).contiguous()
