"""Fallback: when an engine cannot deliver, the branch linked to `fallback` runs and its images take their place."""

from __future__ import annotations

import collections
import logging
from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ..mixing import report as reports
from ..mixing.errors import EngineError
from .types import MENU

logger = logging.getLogger("image-mixer")

ENGINE_REPORTS = {"ImageMixerLocal": 2, "ImageMixerRemote": 1, "ImageMixerHandOver": 2}
"""Where the engine nodes have their report among their outputs."""

_hand_overs: collections.Counter[str] = collections.Counter()


def count(node_id: str | None) -> int:
    """Hand-overs of a node so far. As its fingerprint it makes a later queue try the first engine again."""
    return _hand_overs[str(node_id)]


def to(fallback: list[Any], engine: str, error: EngineError, hidden: Any, vae_input: str | None) -> io.NodeOutput:
    """Expand into the branch at the raw link `fallback`; its report, where an engine of this pack made one, comes along.

    `vae_input` names the failed node's VAE input, through which an image becomes its latent output again.
    """
    _hand_overs[str(hidden.unique_id)] += 1
    logger.warning("Image Mixer (%s) hands over to its fallback: %s", engine, error)
    this, other = hidden.dynprompt.get_node(hidden.unique_id), hidden.dynprompt.get_node(fallback[0])
    links = {"image": fallback}
    if vae_input is not None:
        links["vae"] = this["inputs"][vae_input]
    if other["class_type"] in ENGINE_REPORTS:
        links["other_report"] = [fallback[0], ENGINE_REPORTS[other["class_type"]]]
    graph = GraphBuilder()
    node = graph.node("ImageMixerHandOver", engine=engine, reason=f"{error.cause}: {error}", **links)
    outputs = (0, 1, 2) if vae_input is not None else (0, 2)
    return io.NodeOutput(*(node.out(i) for i in outputs), expand=graph.finalize())


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
            ],
            outputs=[
                io.Image.Output("image", tooltip="The same images."),
                io.Latent.Output("latent", tooltip="Their latent."),
                io.String.Output("report", tooltip="Who handed over and why (JSON)."),
            ],
        )

    @classmethod
    def execute(
        cls, image: io.Image.Type, engine: str, reason: str, vae: Any = None, other_report: str | None = None
    ) -> io.NodeOutput:
        latent = {"samples": vae.encode(image[..., :3])} if vae is not None else None
        return io.NodeOutput(image, latent, reports.handed_over(engine, reason, other_report))
