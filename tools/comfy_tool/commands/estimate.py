"""Asks a server how many images and paid jobs a prompt makes at most. The count itself is made by the server's pack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..server.client import Client, Refused
from ..workflow.prompt import Prompt, title_of

PATH = "/image_mixer/estimate"


@dataclass(frozen=True)
class NodeEstimate:
    """The images of one node; None if the graph computes the number."""

    node_id: str
    title: str
    images: int | None
    paid: bool


@dataclass(frozen=True)
class Estimate:
    """The nodes that make images, and the sums; None if one of the numbers is not known beforehand."""

    nodes: tuple[NodeEstimate, ...] = ()
    images: int | None = None
    paid_jobs: int | None = None


def estimate(client: Client, prompt: Prompt) -> Estimate | None:
    """Return the server's estimate for a prompt, None if its Image Mixer is missing or too old to make one."""
    nodes = {node_id: {"class_type": node["class_type"], "inputs": node["inputs"]} for node_id, node in prompt.items()}
    try:
        answer = client.post(PATH, {"prompt": nodes})
        found = tuple(
            NodeEstimate(
                str(one["node"]), title_of(prompt[str(one["node"])]), _count(one["images"]), one["paid"] is True
            )
            for one in answer["nodes"]
        )
        return Estimate(found, _count(answer["images"]), _count(answer["paid_jobs"]))
    except (Refused, KeyError, TypeError):
        return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
