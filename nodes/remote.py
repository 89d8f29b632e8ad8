"""Image Mixer (Remote): the node of the remote engine. All work is done in the engine's threads; the node awaits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import uuid
from concurrent import futures
from dataclasses import replace
from typing import Any

from comfy.model_management import InterruptProcessingException, throw_exception_if_processing_interrupted
from comfy_api.latest import ComfyAPI, io
from comfy_execution.utils import get_executing_context

from server import PromptServer

from ..mixing import images
from ..mixing import report as reports
from ..mixing.errors import EngineError
from ..mixing.placeholder import filled
from ..mixing.recipe import Recipe
from ..remote.engine import WHEN_MISSING, Order, Outcome, WhenMissing
from ..remote.run.progress import Progress
from ..server.remote_engine import SERVER_ENGINE
from . import fallback as fallbacks
from .types import MENU, MixRecipe

logger = logging.getLogger("image-mixer")

LOOK = 0.1
"""Seconds between two looks at the engine and at Interrupt."""

FAREWELL = 0.8
"""Seconds that the engine has to say what goes on at the service after an interrupt."""

MAX_TAKE = 2**31 - 1

MISSING_EVENT = "image_mixer_missing"
"""Tells the page how many pictures of a node are missing, and how many jobs raising pay_again would pay for."""


class ImageMixerRemote(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        listed, problem = SERVER_ENGINE.listing()
        names = [name for name, _ in listed]
        lacking = ", ".join(name for name, has_key in listed if not has_key)
        return io.Schema(
            node_id="ImageMixerRemote",
            display_name="Image Mixer (Remote)",
            category=MENU,
            description="Makes the images of a recipe with a paid service. Each image is a job that is paid for once: "
            "queued again, it is collected or read from disk." + (f" {problem}" if problem else ""),
            search_aliases=["image mixer", "mix images", "modelslab", "stable diffusion api", "img_mixer"],
            enable_expand=True,
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            inputs=[
                MixRecipe.Input("recipe", tooltip="What to make. Pictures with a weight are sent to the service."),
                io.Combo.Input(
                    "endpoint",
                    options=names,
                    default=names[0],
                    tooltip="A service that this server's owner has set up; the workflow holds its name alone. "
                    + (f"Without a key: {lacking} (press R after setting one)." if lacking else "Each has its key."),
                ),
                io.Int.Input(
                    "take",
                    default=0,
                    min=0,
                    max=MAX_TAKE,
                    tooltip="The same recipe and take is paid for once, ever. Raise it to pay for another. 0 is the first.",
                ),
                io.String.Input(
                    "track_id",
                    default="",
                    tooltip="Comes back in the service's webhook; changes no image. v6 takes digits alone. Empty: none.",
                ),
                io.Image.Input(
                    "fallback",
                    optional=True,
                    lazy=True,
                    raw_link=True,
                    tooltip="Images of another engine, run only when the service delivers nothing (no key, cap reached, "
                    "offline, refused, queue full, service down, job failed). Unconnected: an error instead.",
                ),
                io.Combo.Input(
                    "missing",
                    options=list(WHEN_MISSING),
                    default=WHEN_MISSING[0],
                    optional=True,
                    tooltip="What a picture that does not come does. stop: an error that says which and why; the others "
                    "are kept. placeholder: a plain picture with the reason stands in its place, and the next queue asks "
                    "for it again.",
                ),
                io.Int.Input(
                    "pay_again",
                    default=0,
                    min=0,
                    max=MAX_TAKE,
                    optional=True,
                    tooltip="Raise it by 1 to pay once more for jobs that failed or whose outcome is unknown, and for "
                    "those alone. 0 never pays twice for a job.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="Variants x samples images, by variant, then sample."),
                io.String.Output("report", tooltip="Who made the images, with which weights and seeds (JSON)."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **kwargs: Any) -> int:
        return fallbacks.count(cls.hidden.unique_id)

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
            outcome = await _outcome(order, str(cls.hidden.unique_id))
        except EngineError as error:
            if fallback is None:
                raise
            return fallbacks.to(fallback, "remote", error, cls.hidden, vae_input=None)
        if outcome.missing:
            fallbacks.try_again(cls.hidden.unique_id)
        reasons = [picture.reason for picture in outcome.missing]
        files, report = filled(outcome.images, reasons, (recipe.width, recipe.height)), outcome.report
        del outcome  # so that each file is freed once it is decoded
        batch, resized = images.decode_batch(files)
        if resized:
            line = f"{resized} of {len(batch)} images came in another size and were resized to the first's."
            report = replace(report, warnings=(*report.warnings, line))
        return io.NodeOutput(batch, reports.to_json(report))


async def _outcome(order: Order, node_id: str) -> Outcome:
    """Waits for the engine, showing its progress. Raises as the engine does, but InterruptProcessingException, or the
    CancelledError that came, on an interrupt: what the service still does has then been said."""
    stop = threading.Event()
    latest: list[Progress] = []

    def show(progress: Progress) -> None:
        latest.append(progress)
        _say(progress.text, node_id)

    future = SERVER_ENGINE.engine().start(order, show, stop.is_set)
    over_now = _event_of(future)
    try:
        shown = 0
        while True:
            over = future.done()
            if len(latest) > shown:
                shown = len(latest)
                await ComfyAPI().execution.set_progress(latest[-1].done, max(1, latest[-1].total), node_id)
            if over:
                _tell_missing(latest, node_id)
                return future.result()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(over_now.wait(), LOOK)
            throw_exception_if_processing_interrupted()
    except (asyncio.CancelledError, InterruptProcessingException):
        # A sampler beside this node may have taken the interrupt; the loop then cancels what still waits.
        stop.set()
        line = _farewell(future)
        logger.info("Image Mixer (Remote): %s", line)
        _say(line, node_id)
        raise


def _tell_missing(latest: list[Progress], node_id: str) -> None:
    """Tell the page that queued the run, if the run came so far as to know."""
    last = latest[-1] if latest else None
    if last is not None and last.done == last.total:
        told = {"node": node_id, "missing": last.missing, "jobs": last.jobs_again}
        PromptServer.instance.send_sync(MISSING_EVENT, told, PromptServer.instance.client_id)


def _event_of(future: futures.Future[Outcome]) -> asyncio.Event:
    """An event of this loop that is set when `future` is done: images from disk need no waiting for the next look."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake(_: futures.Future[Outcome]) -> None:
        with contextlib.suppress(RuntimeError):  # after an interrupt the loop is closed before the engine is done
            loop.call_soon_threadsafe(event.set)

    future.add_done_callback(wake)
    return event


def _farewell(future: futures.Future[Outcome]) -> str:
    """What goes on at the service after an interrupt. Blocks: this loop runs the one prompt that is being ended."""
    try:
        future.result(FAREWELL)
    except futures.TimeoutError:  # the built-in one from Python 3.11 on
        return "Interrupted. Jobs that were sent cannot be cancelled: the next queue of this graph collects the images."
    except Exception as error:
        return str(error)
    return "Interrupted. The images are on disk: the next queue of this graph shows them and pays for nothing."


def _say(text: str, node_id: str) -> None:
    PromptServer.instance.send_progress_text(text, node_id)


def _run() -> str:
    """What the cap on jobs a run counts for: the prompt, with all its nodes and list items."""
    context = get_executing_context()
    return context.prompt_id if context is not None else uuid.uuid4().hex
