"""Nodes that make seeds."""

from __future__ import annotations

from comfy_api.latest import io

from ..mixing.seeds import MAX_COUNT, MAX_SEED, MODES, Mode, sequence
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
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="Starting point of the random numbers: the same seed makes the same image. -1 lets a remote "
                    "service draw a seed; the local engine does not accept it.",
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
            description="Makes a list of seeds. The nodes after it run once per seed.",
            search_aliases=["seed list", "seed batch", "seeds"],
            inputs=[
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="The first seed; in mode random, the number from which the seeds are drawn.",
                ),
                io.Int.Input(
                    "count",
                    default=4,
                    min=1,
                    max=MAX_COUNT,
                    tooltip=f"Number of seeds, and so the number of runs, 1 to {MAX_COUNT}.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="count up",
                    tooltip="count up: seed, seed + 1, and so on. random: drawn from the seed, the same seeds every time. "
                    "same: the seed itself, repeated.",
                ),
            ],
            outputs=[io.Int.Output("seeds", is_output_list=True, tooltip="The seeds, one per run.")],
        )

    @classmethod
    def execute(cls, seed: int, count: int, mode: Mode) -> io.NodeOutput:
        return io.NodeOutput(list(sequence(seed, count, mode)))
