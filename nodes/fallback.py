"""Fallback: when an engine cannot deliver, the branch linked to `fallback` runs and its images take their place."""

from __future__ import annotations

import collections
import logging
from typing import Any, TypeVar

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder
from comfy_execution.utils import get_executing_context

from ..mixing import report as reports
from ..mixing.errors import EngineError
from .types import MENU

logger = logging.getLogger("image-mixer")

T = TypeVar("T")

ENGINE_REPORTS = {"ImageMixerLocal": 2, "ImageMixerRemote": 1, "ImageMixerHandOver": 2}
"""Where the engine nodes have their report among their outputs."""

_unfinished: collections.Counter[str] = collections.Counter()


def count(node_id: str | None) -> int:
    """Runs of a node so far that did not end as asked. As its fingerprint it makes a later queue try again."""
    return _unfinished[str(node_id)]


def try_again(node_id: str | None) -> None:
    """The node handed over, or pictures are missing: the next queue runs it again, whatever is cached."""
    _unfinished[str(node_id)] += 1


def to(fallback: list[Any], engine: str, error: EngineError, hidden: Any, vae_input: str | None) -> io.NodeOutput:
    """Expand into the branch at the raw link `fallback`; its report, where an engine of this pack made one, comes along.

    `vae_input` names the failed node's VAE input, through which an image becomes its latent output again.
    """
    try_again(hidden.unique_id)
    logger.warning("Image Mixer (%s) hands over to its fallback: %s", engine, error)
    this, other = hidden.dynprompt.get_node(hidden.unique_id), hidden.dynprompt.get_node(fallback[0])
    links = {"image": fallback}
    if vae_input is not None:
        links["vae"] = this["inputs"][vae_input]
    if other["class_type"] in ENGINE_REPORTS:
        links["other_report"] = [fallback[0], ENGINE_REPORTS[other["class_type"]]]
    graph = GraphBuilder()
    node = graph.node("ImageMixerHandOver", engine=engine, reason=f"{error.cause}: {error}", item=_item(), **links)
    outputs = (0, 1, 2) if vae_input is not None else (0, 2)
    return io.NodeOutput(*(node.out(i) for i in outputs), expand=graph.finalize())


def _item() -> int:
    """Which item of the lists that are linked to it the executing node is at."""
    context = get_executing_context()
    return context.list_index or 0 if context is not None else 0


def _at(values: list[T], item: int) -> T:
    """An item of a list, the last one where it is too short: as ComfyUI deals lists out to nodes."""
    return values[min(item, len(values) - 1)]


class ImageMixerHandOver(io.ComfyNode):
    """Not for graphs made by hand: engine nodes expand into it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerHandOver",
            display_name="Image Mixer Hand-over",
            category=f"{MENU}/internal",
            description="What an engine node becomes when it hands over to its fallback. Not for use by hand.",
            is_dev_only=True,
            is_input_list=True,
            inputs=[
                io.Image.Input("image", tooltip="The images of the other engine."),
                io.String.Input("engine", default="", tooltip="The engine that could not deliver."),
                io.String.Input("reason", default="", tooltip="Why it could not."),
                io.Vae.Input("vae", optional=True, tooltip="Makes the latent of the images. Unconnected: no latent."),
                io.String.Input(
                    "other_report",
                    optional=True,
                    force_input=True,
                    tooltip="The other engine's report. Unconnected: none.",
                ),
                io.Int.Input(
                    "item",
                    default=0,
                    min=0,
                    optional=True,
                    tooltip="Which item of a list is handed over: only those that failed are. 0 is the first.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The same images."),
                io.Latent.Output("latent", tooltip="Their latent."),
                io.String.Output("report", tooltip="Who handed over and why (JSON)."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: list[io.Image.Type],
        engine: list[str],
        reason: list[str],
        vae: list[Any] | None = None,
        other_report: list[str] | None = None,
        item: list[int] | None = None,
    ) -> io.NodeOutput:
        at = (item or [0])[0]
        made = _at(image, at)
        latent = {"samples": _at(vae, at).encode(made[..., :3])} if vae else None
        report = reports.handed_over(engine[0], reason[0], _at(other_report, at) if other_report else None)
        return io.NodeOutput(made, latent, report)
