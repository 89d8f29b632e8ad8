"""Fallback: if an engine cannot deliver, the branch linked to `fallback` runs and its images are used instead."""

from __future__ import annotations

import collections
import logging
from typing import Any, TypeVar

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder
from comfy_execution.utils import get_executing_context

from ..mixing.errors import EngineError
from ..mixing.report import hand_over_report
from .types import MENU

logger = logging.getLogger("image-mixer")

T = TypeVar("T")

ENGINE_REPORTS = {"ImageMixerLocal": 2, "ImageMixerRemote": 1, "ImageMixerHandOver": 2}
"""The index of the report among the outputs of each engine node."""

_unfinished: collections.Counter[str] = collections.Counter()


def unfinished_runs(node_id: str | None) -> int:
    """Count the runs of a node that did not end as asked. As the node's fingerprint, it makes a later queue try again."""
    return _unfinished[str(node_id)]


def run_again(node_id: str | None) -> None:
    """Make the next queue run the node again whatever is cached: it handed over, or images are missing."""
    _unfinished[str(node_id)] += 1


def hand_over(
    fallback: list[Any], engine: str, error: EngineError, hidden: Any, vae_input: str | None
) -> io.NodeOutput:
    """Expand the failed node into the branch at the raw link `fallback`.

    If that branch ends in an engine of this pack, its report is passed on. `vae_input` names the failed node's VAE input,
    which turns the images into its latent output; None if the node has no latent output.
    """
    run_again(hidden.unique_id)
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
    """Return the index of the list item that the current node is running for."""
    context = get_executing_context()
    return context.list_index or 0 if context is not None else 0


def _at(values: list[T], item: int) -> T:
    """Return an item of a list, or the last one if the list is too short, as ComfyUI does for lists of inputs."""
    return values[min(item, len(values) - 1)]


class ImageMixerHandOver(io.ComfyNode):
    """The node that engine nodes expand into. It is not meant to be added by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerHandOver",
            display_name="Image Mixer Hand-over",
            category=f"{MENU}/internal",
            description="An engine node turns into this node when it hands over to its fallback. Do not add it by hand.",
            is_dev_only=True,
            is_input_list=True,
            inputs=[
                io.Image.Input("image", tooltip="The images of the other engine."),
                io.String.Input("engine", default="", tooltip="The engine that failed: local or remote."),
                io.String.Input("reason", default="", tooltip="Why it failed."),
                io.Vae.Input(
                    "vae", optional=True, tooltip="Encodes the images to latents. Unconnected: no latent output."
                ),
                io.String.Input(
                    "other_report",
                    optional=True,
                    force_input=True,
                    tooltip="The other engine's report. Unconnected: no report.",
                ),
                io.Int.Input(
                    "item",
                    default=0,
                    min=0,
                    optional=True,
                    tooltip="Index of the list item that failed, which is the only one handed over. 0 is the first.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The same images."),
                io.Latent.Output("latent", tooltip="The images as latents."),
                io.String.Output("report", tooltip="Which engine handed over, and why (JSON)."),
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
        index = (item or [0])[0]
        images = _at(image, index)
        latent = {"samples": _at(vae, index).encode(images[..., :3])} if vae else None
        report = hand_over_report(engine[0], reason[0], _at(other_report, index) if other_report else None)
        return io.NodeOutput(images, latent, report)
