"""Images: the one package that knows how pixels lie in tensors, Pillow images and image files.

Everywhere else an image is ComfyUI's IMAGE: a tensor [batch, height, width, channels], float32, 0 to 1, sRGB.

- layouts: pictures and regions from tensors.
- resizing: interpolation.
- preparations: squares for a vision encoder (crop, pad, tile).
- conversion: Pillow images to tensors and back.
- files: encoding and decoding of PNG, JPEG and the other formats.
"""

from __future__ import annotations

from .conversion import pil_to_tensor, tensor_to_pil
from .files import FORMATS, MAX_PIXELS, decode, decode_batch, encode_jpeg, encode_png, encode_within
from .layouts import picture, pictures, region
from .preparations import PREPARATIONS, Preparation, prepared
from .resizing import resized, resized_mask

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "PREPARATIONS",
    "Preparation",
    "decode",
    "decode_batch",
    "encode_jpeg",
    "encode_png",
    "encode_within",
    "picture",
    "pictures",
    "pil_to_tensor",
    "prepared",
    "region",
    "resized",
    "resized_mask",
    "tensor_to_pil",
]
