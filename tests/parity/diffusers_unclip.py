"""diffusers' UNet of SD2.1-unCLIP and SDXL with the weights of a micro model, its image noising, and mixes to compare."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import comfy.utils
import micro_unclip
import torch
from diffusers import DDPMScheduler, StableUnCLIPImg2ImgPipeline, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from image_mixer.local import engine
from image_mixer.local.embeddings import Embeddings, Encoded
from image_mixer.local.methods.unclip import KEY
from image_mixer.mixing.mix import Mix
from image_mixer.tests.support.pictures import picture

WITH, WITHOUT = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")


def unet(kind: str, seed: int = 1) -> UNet2DConditionModel:
    """Return the UNet of `micro_unclip.build(kind, seed)` in diffusers' classes."""
    config = micro_unclip.UNETS[kind]
    levels = [WITH if depth else WITHOUT for depth in config["transformer_depth"]]
    channels = tuple(config["model_channels"] * mult for mult in config["channel_mult"])
    if kind == "sdxl":
        vector = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
    else:
        vector = {"class_embed_type": "projection"}
    other = UNet2DConditionModel(
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=tuple(level[0] for level in levels),
        up_block_types=tuple(level[1] for level in reversed(levels)),
        attention_head_dim=tuple(width // config["num_head_channels"] for width in channels),
        transformer_layers_per_block=tuple(max(1, depth) for depth in config["transformer_depth"]),
        use_linear_projection=True,
        cross_attention_dim=config["context_dim"],
        projection_class_embeddings_input_dim=config["adm_in_channels"],
        **vector,
    ).eval()
    names = comfy.utils.unet_to_diffusers(config)
    ours = micro_unclip.state(kind, seed)
    renamed = {theirs: ours[names[theirs]] for theirs in other.state_dict()}
    assert len(renamed) == len(ours)
    other.load_state_dict(renamed)
    return other


def noised(augmentor: Any, vector: torch.Tensor, level: int, noise: torch.Tensor) -> torch.Tensor:
    """Return the class labels [1, 2 D] that diffusers' pipeline makes of an image embedding [1, D].

    The statistics are the augmentor's.
    """
    normalizer = StableUnCLIPImageNormalizer(vector.shape[-1])
    normalizer.mean.data.copy_(augmentor.data_mean)
    normalizer.std.data.copy_(augmentor.data_std)
    pipeline = SimpleNamespace(
        image_normalizer=normalizer, image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    )
    made: torch.Tensor = StableUnCLIPImg2ImgPipeline.noise_image_embeddings(pipeline, vector, level, noise)
    return made


def euler(model: Any, answers: list[Any], x: torch.Tensor, sigmas: torch.Tensor, cfg: float) -> torch.Tensor:
    """Run Euler's steps over `sigmas` with diffusers' UNet; `answers` are (x, timestep) -> output, positive and negative."""
    sampling = model.model.model_sampling
    for sigma, following in pairwise(sigmas):
        at = sigma.expand(x.shape[0])
        scaled, timestep = sampling.calculate_input(at, x), sampling.timestep(at).float()
        positive, negative = (sampling.calculate_denoised(at, answer(scaled, timestep), x) for answer in answers)
        denoised = negative + (positive - negative) * cfg
        x = x + (x - denoised) / sigma * (following - sigma)
    return x


def embeddings_of(vectors: torch.Tensor, *rows: tuple[float, ...]) -> Embeddings:
    """Return embeddings as if a tower had made `vectors` [N, D]."""
    return Embeddings(
        Mix(tuple(picture(i) for i in range(len(vectors))), rows), tuple(Encoded(vector) for vector in vectors)
    )


def vectors_of(kind: str, count: int = 3) -> torch.Tensor:
    """Return random vectors of the width that `kind` was trained with."""
    return torch.randn(count, micro_unclip.WIDTHS[kind], generator=torch.Generator().manual_seed(9))


def applied(model: Any, kind: str, embeddings: Embeddings, strength: float = 1.0, **settings: Any) -> Any:
    """Return (model, positive, negative) of Apply Mix."""
    text, negative = micro_unclip.text(kind), micro_unclip.text(kind, 3)
    return engine.apply(engine.Target(model, text, negative), embeddings, "unclip", strength, settings=settings)


def vector_in(kind: str, entry: Any) -> torch.Tensor:
    """Return the vector that a conditioning entry gives the model."""
    vector: torch.Tensor = entry[1]["pooled_output"] if kind == "sdxl" else entry[1]["model_conds"][KEY].cond
    return vector
