"""Mix Recipe."""

from __future__ import annotations

from comfy_api.latest import io

from ..mixing.mix import Mix
from ..mixing.recipe import LARGEST_SIDE, MAX_SAMPLES, MAX_STEPS, SIZE_STEP, Recipe
from ..mixing.seeds import MAX_SEED
from .types import MENU, ImageMix, MixRecipe


class ImageMixerRecipe(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerRecipe",
            display_name="Mix Recipe",
            category=MENU,
            description="Combines a mix with the other settings of a generation. Every engine accepts the same recipe.",
            search_aliases=["prompt", "img_mixer", "settings"],
            inputs=[
                ImageMix.Input("mix", tooltip="The mix to make images of."),
                _prompt_input(
                    "prompt",
                    "What the image should show. For the method image mixer the prompt is one of the five ingredients, with "
                    "weight 1. Empty: no prompt.",
                ),
                _prompt_input("negative_prompt", "What the image should not show. Empty: no negative prompt."),
                _side_input("width"),
                _side_input("height"),
                io.Int.Input(
                    "steps",
                    default=30,
                    min=1,
                    max=MAX_STEPS,
                    tooltip=f"Denoising steps, 1 to {MAX_STEPS}. More steps take longer and add detail. Remote services "
                    "accept at most 50 or 100.",
                ),
                _guidance_input(),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=-1,
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="Sample j of each variant uses seed + j, counting from 0. -1 lets a remote service draw a seed; "
                    "the local engine does not accept it.",
                ),
                io.Int.Input(
                    "samples",
                    default=1,
                    min=1,
                    max=MAX_SAMPLES,
                    tooltip=f"Images per variant, 1 to {MAX_SAMPLES}, each with its own seed.",
                ),
            ],
            outputs=[MixRecipe.Output("recipe", tooltip="For Image Mixer (Local) and Image Mixer (Remote).")],
        )

    @classmethod
    def execute(
        cls,
        mix: Mix,
        prompt: str,
        negative_prompt: str,
        width: int,
        height: int,
        steps: int,
        guidance_scale: float,
        seed: int,
        samples: int,
    ) -> io.NodeOutput:
        return io.NodeOutput(Recipe(mix, prompt, negative_prompt, width, height, steps, guidance_scale, seed, samples))


def _prompt_input(name: str, tooltip: str) -> io.String.Input:
    return io.String.Input(name, default="", multiline=True, dynamic_prompts=True, tooltip=tooltip)


def _guidance_input() -> io.Float.Input:
    return io.Float.Input(
        "guidance_scale",
        display_name="guidance scale (cfg)",
        default=3.0,
        min=0.0,
        max=100.0,
        step=0.1,
        round=0.01,
        tooltip="How closely the image follows the mix and the prompt (classifier-free guidance), 0 to 100. 1 switches "
        "guidance off. 2 to 5 suits the Image Mixer; remote services accept 1 to 20.",
    )


def _side_input(name: str) -> io.Int.Input:
    return io.Int.Input(
        name,
        default=512,
        min=0,
        max=LARGEST_SIDE,
        step=SIZE_STEP,
        tooltip=f"The {name} in pixels, a multiple of {SIZE_STEP} up to {LARGEST_SIDE}. 0 for both width and height uses the "
        "shape of the first image.",
    )
