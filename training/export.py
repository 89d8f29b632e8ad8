"""Write the trained parts to the one file that the pack ships, in half precision."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from image_mixer.local import demo
from safetensors.torch import save_file
from torch import Tensor

from .autoencoder import CONFIG as VAE_CONFIG
from .networks import TEXT_CONFIG, UNET_CONFIG, VISION_CONFIG

_TABLE = "text_model.embeddings.token_embedding.weight"


def write(
    file: Path, unet: dict[str, Tensor], text: dict[str, Tensor], words: list[int], vae: dict[str, Tensor],
    vision: dict[str, Tensor],
) -> int:  # fmt: skip
    """Write all parts to `file`, and only the rows of `words` of the text tower's table. Return the size in bytes."""
    text = {**text, _TABLE: text[_TABLE][words]}
    parts = {
        demo.UNET_PREFIX: unet,
        demo.TEXT_PREFIX: text,
        demo.VAE_PREFIX: vae,
        demo.VISION_PREFIX: vision,
    }
    tensors = {
        prefix + key: value.detach().half().contiguous()
        for prefix, part in parts.items()
        for key, value in part.items()
    }
    tensors[demo.WORDS] = torch.tensor(words, dtype=torch.int32)
    configs = {"unet": UNET_CONFIG, "text": TEXT_CONFIG, "vae": VAE_CONFIG, "vision": VISION_CONFIG}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, metadata={"config": json.dumps(configs)})
    file.chmod(0o644)
    return file.stat().st_size
