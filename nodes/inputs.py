"""Inputs that several nodes of the local engine share."""

from __future__ import annotations

from comfy_api.latest import io

from ..mixing.images import PREPARATIONS
from .types import ImageMix, MixAdapter


def clip_vision_input() -> io.ClipVision.Input:
    return io.ClipVision.Input(
        "clip_vision",
        optional=True,
        tooltip="The vision tower that encodes the pictures: the one that the model or its adapter was trained with. For image "
        "mixer it comes from Load Image Mixer Checkpoint. Unconnected: only texts can be mixed.",
    )


def clip_input() -> io.Clip.Input:
    return io.Clip.Input(
        "clip",
        optional=True,
        tooltip="For image mixer a CLIP-L with text projection (clip_l.safetensors through Load CLIP), for texts and prompts as "
        "ingredients; unconnected, only images can be mixed. The other methods need the model's own, for the prompts.",
    )


def negative_mix_input() -> io.Custom.Input:
    return ImageMix.Input(
        "negative_mix",
        optional=True,
        tooltip="What the picture should move away from; one variant, or as many as the mix has. Unconnected: nothing.",
    )


def adapter_input() -> io.MultiType.Input:
    return io.MultiType.Input(
        "adapter",
        types=[MixAdapter, io.StyleModel],
        optional=True,
        tooltip="The adapter of methods that need one: from Load IP-Adapter, or for redux from Load Style Model. "
        "Unconnected: none.",
    )


def preparation_input() -> io.Combo.Input:
    return io.Combo.Input(
        "preparation",
        options=list(PREPARATIONS),
        default=PREPARATIONS[0],
        tooltip="How a vision tower receives a picture that is not square: centre crop cuts off its ends, pad keeps it whole on "
        "white, tile encodes overlapping squares and averages them. Square pictures are the same in all.",
    )


def strength_input() -> io.Float.Input:
    return io.Float.Input(
        "strength",
        default=1.0,
        min=0.0,
        max=5.0,
        step=0.05,
        round=0.001,
        tooltip="How much the mix acts at all, whatever its ratio: it multiplies every weight; with unclip it goes from the "
        "plain model (0) to the mix (1). 0 switches it off.",
    )
