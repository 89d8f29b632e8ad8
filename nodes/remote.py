"""Image Mixer (Remote): the node of the remote engine."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from comfy_api.latest import io
from comfy_execution.utils import get_executing_context

from ..mixing.errors import EngineError
from ..mixing.images import decode_batch
from ..mixing.placeholder import filled
from ..mixing.recipe import Recipe
from ..mixing.report import Report, to_json
from ..remote.engine import WHEN_MISSING, Order, Outcome, WhenMissing
from ..server.remote_engine import SERVER_ENGINE
from .fallback import hand_over, run_again, unfinished_runs
from .remote_wait import outcome_of
from .types import MENU, MixRecipe

MAX_COUNTER = 2**31 - 1


class ImageMixerRemote(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        listed, problem = SERVER_ENGINE.listing()
        return io.Schema(
            node_id="ImageMixerRemote",
            display_name="Image Mixer (Remote)",
            category=MENU,
            description="Makes the images of a recipe with a paid service. Each image is a job that is paid for only once: if "
            "you queue it again, the image is collected or read from disk." + (f" {problem}" if problem else ""),
            search_aliases=["image mixer", "mix images", "modelslab", "stable diffusion api", "img_mixer"],
            enable_expand=True,
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            inputs=[
                MixRecipe.Input(
                    "recipe", tooltip="What to make. Images whose weight is not 0 are sent to the service."
                ),
                _endpoint_input(listed),
                io.Int.Input(
                    "take",
                    default=0,
                    min=0,
                    max=MAX_COUNTER,
                    tooltip="The same recipe with the same take is paid for only once. Raise it to pay for other images of "
                    "the recipe. 0 is the first take.",
                ),
                io.String.Input(
                    "track_id",
                    default="",
                    tooltip="Your own label, which the service returns in its webhook; it does not change the images. v6 "
                    "accepts only digits. Empty: no label.",
                ),
                io.Image.Input(
                    "fallback",
                    optional=True,
                    lazy=True,
                    raw_link=True,
                    tooltip="Images of another engine, which runs only if the service delivers nothing (no key, cap reached, "
                    "offline, refused, queue full, service down, job failed). Unconnected: stop with an error.",
                ),
                *_missing_inputs(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="Variants x samples images, ordered by variant, then sample."),
                io.String.Output("report", tooltip="Who made the images, with which weights and seeds (JSON)."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> int:
        return unfinished_runs(cls.hidden.unique_id)

    @classmethod
    async def execute(
        cls,
        recipe: Recipe,
        endpoint: str,
        take: int = 0,
        track_id: str = "",
        fallback: Any = None,
        missing: WhenMissing = "stop",
        pay_again: int = 0,
    ) -> io.NodeOutput:
        order = Order(recipe, endpoint, take, track_id, _run(), missing, pay_again, fallback is not None)
        try:
            outcome = await outcome_of(order, str(cls.hidden.unique_id))
        except EngineError as error:
            if fallback is None:
                raise
            return hand_over(fallback, "remote", error, cls.hidden, vae_input=None)
        if outcome.missing:
            run_again(cls.hidden.unique_id)
        files, report = _files(outcome, recipe), outcome.report
        del outcome  # so that each file is freed as soon as it is decoded
        return _output(files, report)


def _files(outcome: Outcome, recipe: Recipe) -> list[bytes]:
    """Return the image files of an outcome, with placeholders for missing images."""
    return filled(outcome.images, [image.reason for image in outcome.missing], (recipe.width, recipe.height))


def _output(files: list[bytes], report: Report) -> io.NodeOutput:
    """Decode the files, which empties the list, and add a warning to the report if images had to be resized."""
    batch, resized = decode_batch(files)
    if resized:
        line = f"{resized} of {len(batch)} images had another size and were resized to the size of the first."
        report = replace(report, warnings=(*report.warnings, line))
    return io.NodeOutput(batch, to_json(report))


def _endpoint_input(listed: tuple[tuple[str, bool], ...]) -> io.Combo.Input:
    names = [name for name, _ in listed]
    lacking = ", ".join(name for name, has_key in listed if not has_key)
    return io.Combo.Input(
        "endpoint",
        options=names,
        default=names[0],
        tooltip="A service that the owner of this server has set up. The workflow holds only its name. "
        + (f"Without a key: {lacking} (press R after setting one)." if lacking else "Each has its key."),
    )


def _missing_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "missing",
            options=list(WHEN_MISSING),
            default=WHEN_MISSING[0],
            optional=True,
            tooltip="What to do if an image does not come. stop: an error says which images are missing and why; the others "
            "are kept. placeholder: a plain image with the reason stands in for it, and the next queue asks for it again.",
        ),
        io.Int.Input(
            "pay_again",
            default=0,
            min=0,
            max=MAX_COUNTER,
            optional=True,
            tooltip="Raise it by 1 to pay once more for the jobs that failed or whose outcome is unknown, and only for those. "
            "0 never pays twice for a job.",
        ),
    ]


def _run() -> str:
    """Return the name of the run that the cap on paid jobs counts: the prompt, with all its nodes and list items."""
    context = get_executing_context()
    return context.prompt_id if context is not None else uuid.uuid4().hex
