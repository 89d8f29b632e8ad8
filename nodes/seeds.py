"""Nodes that make seeds."""

from __future__ import annotations

from comfy_api.latest import io

from ..mixing import seeds
from .types import MENU

_DRAWER = f"{MENU}/seeds"


class ImageMixerSeed(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSeed",
            display_name="Mix Seed",
            category=_DRAWER,
            description="One seed for several engines or recipes.",
            search_aliases=["seed", "random seed", "noise seed"],
            inputs=[
                io.Int.Input(
                    "seed",
                    default=0,
                    min=-1,
                    max=seeds.MAX_SEED,
                    control_after_generate=True,
                    tooltip="Start of the random numbers: the same seed, the same picture. -1 lets a remote service "
                    "draw one; the local engine refuses it.",
                ),
            ],
            outputs=[io.Int.Output("seed", tooltip="The seed.")],
        )

    @classmethod
    def execute(cls, seed: int) -> io.NodeOutput:
        return io.NodeOutput(seed)


class ImageMixerSeedSequence(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSeedSequence",
            display_name="Seed Sequence",
            category=_DRAWER,
            description="A list of seeds: what is connected behind it runs once for each.",
            search_aliases=["seed list", "seed batch", "seeds"],
            inputs=[
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=seeds.MAX_SEED,
                    control_after_generate=True,
                    tooltip="The first seed, or what random ones are drawn from.",
                ),
                io.Int.Input(
                    "count", default=4, min=1, max=seeds.MAX_COUNT, tooltip="How many seeds, so how many runs."
                ),
                io.Combo.Input(
                    "mode",
                    options=list(seeds.MODES),
                    default="count up",
                    tooltip="count up: seed, seed + 1, … random: drawn from the seed, the same each time. same: the "
                    "seed again and again.",
                ),
            ],
            outputs=[io.Int.Output("seeds", is_output_list=True, tooltip="The seeds, a run each.")],
        )

    @classmethod
    def execute(cls, seed: int, count: int, mode: str) -> io.NodeOutput:
        return io.NodeOutput(list(seeds.sequence(seed, count, mode)))
