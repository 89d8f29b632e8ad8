"""Waiting for the remote engine: progress and interrupts while its threads do the work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent import futures

from comfy.model_management import InterruptProcessingException, throw_exception_if_processing_interrupted
from comfy_api.latest import ComfyAPI

from server import PromptServer

from ..remote.engine import Order, Outcome
from ..remote.run.progress import Progress
from ..server.remote_engine import SERVER_ENGINE

logger = logging.getLogger("image-mixer")

POLL_INTERVAL = 0.1
"""Seconds between two looks at the engine's progress and at Interrupt."""

FAREWELL_TIMEOUT = 0.8
"""Seconds that the engine has, after an interrupt, to say which jobs go on at the service."""

MISSING_EVENT = "image_mixer_missing"
"""The event that tells the page how many images of a node are missing, and how many jobs pay_again would pay for."""


async def outcome_of(order: Order, node_id: str) -> Outcome:
    """Run an order and wait for its outcome, showing its progress on the node.

    Raises as the engine does. On an interrupt it shows which jobs go on at the service, and raises
    InterruptProcessingException or the CancelledError that it received.
    """
    stop = threading.Event()
    latest: list[Progress] = []

    def show(progress: Progress) -> None:
        latest.append(progress)
        _show_text(progress.text, node_id)

    future = SERVER_ENGINE.engine().start(order, show, stop.is_set)
    done = _event_of(future)
    try:
        shown = 0
        while True:
            over = future.done()
            if len(latest) > shown:
                shown = len(latest)
                await ComfyAPI().execution.set_progress(latest[-1].done, max(1, latest[-1].total), node_id)
            if over:
                _send_missing(latest, node_id)
                return future.result()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(done.wait(), POLL_INTERVAL)
            throw_exception_if_processing_interrupted()
    except (asyncio.CancelledError, InterruptProcessingException):
        # If a sampler running at the same time consumes the interrupt, ComfyUI cancels this coroutine instead.
        stop.set()
        line = _farewell(future)
        logger.info("Image Mixer (Remote): %s", line)
        _show_text(line, node_id)
        raise


def _send_missing(latest: list[Progress], node_id: str) -> None:
    """Tell the page that queued the run how many images are missing, if the run got far enough to know."""
    last = latest[-1] if latest else None
    if last is not None and last.done == last.total:
        told = {"node": node_id, "missing": last.missing, "jobs": last.jobs_again}
        PromptServer.instance.send_sync(MISSING_EVENT, told, PromptServer.instance.client_id)


def _event_of(future: futures.Future[Outcome]) -> asyncio.Event:
    """Return an event of this loop that is set when `future` is done, so that images on disk need not wait for a poll."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake(_: futures.Future[Outcome]) -> None:
        with contextlib.suppress(RuntimeError):  # after an interrupt the loop may close before the engine is done
            loop.call_soon_threadsafe(event.set)

    future.add_done_callback(wake)
    return event


def _farewell(future: futures.Future[Outcome]) -> str:
    """Return what goes on at the service after an interrupt. It blocks: the loop only serves the prompt that ends."""
    try:
        future.result(FAREWELL_TIMEOUT)
    except futures.TimeoutError:  # since Python 3.11 the built-in TimeoutError
        return "Interrupted. Jobs that were sent cannot be cancelled: the next queue of this graph collects the images."
    except Exception as error:
        return str(error)
    return "Interrupted. The images are on disk: the next queue of this graph loads them without paying again."


def _show_text(text: str, node_id: str) -> None:
    PromptServer.instance.send_progress_text(text, node_id)
