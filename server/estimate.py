"""How many images and paid jobs a queued prompt makes at most. Pure: it reads a prompt and the nodes' definitions.

The page's badge and `tools/comfy.py run --dry-run` both ask for this count, so that they show the same numbers. A number
that the graph itself computes is unknown beforehand: None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..mixing.errors import WeightsError
from ..mixing.sweeps import sweep_rows

REMOTE, LOCAL = "ImageMixerRemote", "ImageMixerLocal"
_MIXES = ("ImageMixerMix", "ImageMixerAddImage", "ImageMixerAddText", "ImageMixerAddURL")
_SEEDS = "ImageMixerSeedSequence"
_CONSTANT = "PrimitiveInt"
_MOST_CONSTANTS = 16  # linked in a row
_SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
_REPEAT = "RepeatLatentBatch"
_SAME_BATCH = {
    "VAEEncode": "pixels",
    "VAEEncodeForInpaint": "pixels",
    "SetLatentNoiseMask": "samples",
    "LatentUpscale": "samples",
    "LatentUpscaleBy": "samples",
}
_ONE_IMAGE = ("LoadImage", "LoadImageMask", "LoadImageOutput")
_WITH_BATCH = (LOCAL, _REPEAT, *_SAMPLERS, *_SAME_BATCH)
LARGEST = 2**53
"""No count above this is given: JavaScript could not hold it exactly, and no queue would finish it."""


@dataclass(frozen=True)
class Definition:
    """The part of a node class's definition that the count depends on.

    `output_node` and `takes_lists` are ComfyUI's OUTPUT_NODE and INPUT_IS_LIST. `outputs` are the types of the outputs,
    `list_outputs` whether each is a list. `default` returns the default value of an input, None if there is none.
    """

    output_node: bool = False
    takes_lists: bool = False
    outputs: tuple[str, ...] = ()
    list_outputs: tuple[bool, ...] = ()
    default: Callable[[str], Any] = lambda name: None


Define = Callable[[str], Definition]
"""Returns the definition of a node class by its name; an empty one for a class that the server does not have."""


@dataclass(frozen=True)
class NodeEstimate:
    """The images that one node makes at most; None if the number is not known beforehand."""

    node_id: str
    images: int | None
    paid: bool


@dataclass(frozen=True)
class Estimate:
    """The nodes that make images, in execution order, and their sums; a sum is None if one of its numbers is."""

    nodes: tuple[NodeEstimate, ...]

    @property
    def images(self) -> int | None:
        """All images."""
        return _sum([node.images for node in self.nodes])

    @property
    def paid_jobs(self) -> int | None:
        """All paid jobs: one per image of a remote node."""
        return _sum([node.images for node in self.nodes if node.paid])

    def as_json(self) -> dict[str, Any]:
        """Return the answer of the route: {"images", "paid_jobs", "nodes": [{"node", "images", "paid"}]}."""
        nodes = [{"node": node.node_id, "images": node.images, "paid": node.paid} for node in self.nodes]
        return {"images": self.images, "paid_jobs": self.paid_jobs, "nodes": nodes}


def estimate(prompt: Any, define: Define) -> Estimate:
    """Return the estimate for a prompt in API format.

    Only nodes that an output node needs are counted. Whatever in `prompt` is not a node is left out, and nothing is
    raised: ComfyUI checks the prompt when it is queued. Time and memory grow linearly with the prompt.
    """
    nodes = dict(_nodes_of(prompt))
    counts = _Counts(nodes, define)
    found = []
    for node_id in _in_execution_order(nodes, define):
        counts.read(node_id)
        kind = nodes[node_id].kind
        if kind in (LOCAL, REMOTE) or kind in _SAMPLERS:
            each = counts.batch[node_id] if kind in _SAMPLERS else counts.recipe_images(node_id)
            found.append(NodeEstimate(node_id, _product([each, counts.runs[node_id]]), kind == REMOTE))
    return Estimate(tuple(found))


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: Mapping[str, Any]

    def links(self) -> list[tuple[str, int]]:
        return [link for link in map(_link_of, self.inputs.values()) if link]

    def origin(self, name: str) -> str | None:
        """Return the id of the node that the input `name` is linked to, None if it is not linked."""
        link = _link_of(self.inputs.get(name))
        return link[0] if link else None


def _nodes_of(prompt: Any) -> Iterator[tuple[str, _Node]]:
    for node_id, node in prompt.items() if isinstance(prompt, dict) else ():
        kind, inputs = (node.get("class_type"), node.get("inputs")) if isinstance(node, dict) else (None, None)
        if isinstance(kind, str) and isinstance(inputs, dict):
            yield str(node_id), _Node(kind, inputs)


def _link_of(value: Any) -> tuple[str, int] | None:
    """Return a link as (node id, output), None for any other value."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int):
        return value[0], value[1]
    return None


def _in_execution_order(nodes: dict[str, _Node], define: Define) -> list[str]:
    """Return the output nodes and all nodes that they need, each after those that it needs; circles are cut."""
    order: dict[str, None] = {}
    opened: set[str] = set()
    stack = [node_id for node_id, node in reversed(nodes.items()) if define(node.kind).output_node]
    while stack:
        node_id = stack[-1]
        if node_id in opened:
            order.setdefault(stack.pop())
        else:
            opened.add(node_id)
            origins = [origin for origin, _ in nodes[node_id].links()]
            stack += [origin for origin in reversed(origins) if origin in nodes and origin not in opened]
    return list(order)


@dataclass
class _Counts:
    """Counts by node id. `read` fills them in, node by node in execution order; a node of a circle is not counted."""

    nodes: Mapping[str, _Node]
    define: Define
    runs: dict[str, int | None] = field(default_factory=dict)
    """How often a node runs."""
    rows: dict[str, int | None] = field(default_factory=dict)
    """Rows of weights in the mix that a node puts out."""
    batch: dict[str, int | None] = field(default_factory=dict)
    """Images in the latent batch that a node puts out, for one run of it."""

    def read(self, node_id: str) -> None:
        """Count for one node; all that it needs must have been read."""
        kind = self.nodes[node_id].kind
        self.runs[node_id] = self._runs(node_id)
        if kind in _MIXES:
            self.rows[node_id] = self._rows_of_mix(node_id)
        if kind in _WITH_BATCH:
            self.batch[node_id] = self._batch(node_id)

    def recipe_images(self, node_id: str) -> int | None:
        """Return variants times samples of the recipe that an engine node gets."""
        recipe = self.nodes[node_id].origin("recipe")
        if recipe is None or recipe not in self.nodes or self.nodes[recipe].kind != "ImageMixerRecipe":
            return None
        return _product([self._rows_at(recipe), self._number(recipe, "samples")])

    def _runs(self, node_id: str) -> int | None:
        """A node runs once per item of the longest list among its inputs."""
        node = self.nodes[node_id]
        if self.define(node.kind).takes_lists:
            return 1
        lengths = [self._list_length(*link) for link in node.links()]
        return None if None in lengths else max([1, *(length for length in lengths if length is not None)])

    def _list_length(self, node_id: str, slot: int) -> int | None:
        """Return how many items come out of an output over all runs of its node."""
        if node_id not in self.nodes:
            return 1
        runs, node = self.runs.get(node_id), self.nodes[node_id]
        lists = self.define(node.kind).list_outputs
        if not (0 <= slot < len(lists) and lists[slot]):
            return runs
        return _product([runs, self._number(node_id, "count")]) if node.kind == _SEEDS else None

    def _rows_at(self, node_id: str) -> int | None:
        """Return the rows of the mix at a node's input `mix`; 1 if no mix is linked."""
        mix = self.nodes[node_id].origin("mix")
        return 1 if mix is None else self.rows.get(mix)

    def _rows_of_mix(self, node_id: str) -> int | None:
        """All mixes in a chain that have several rows have equally many."""
        weights = self._rows_of_weights(node_id) if "weights" in self.nodes[node_id].inputs else 1
        before = self._rows_at(node_id)
        return None if before is None or weights is None else max(before, weights)

    def _rows_of_weights(self, node_id: str) -> int | None:
        origin = self.nodes[node_id].origin("weights")
        if origin is None or origin not in self.nodes:
            return None
        kind = self.nodes[origin].kind
        if kind == "ImageMixerWeights":
            return 1
        variants = self._number(origin, "variants")
        if kind == "ImageMixerBlendWeights" or variants is None:
            return variants
        pattern, ingredients = self.nodes[origin].inputs.get("pattern"), self._number(origin, "ingredients")
        if kind != "ImageMixerSweepWeights" or not isinstance(pattern, str) or ingredients is None:
            return None
        try:
            return sweep_rows(ingredients, pattern, variants)  # type: ignore[arg-type]  # it refuses other patterns
        except WeightsError:
            return None

    def _batch(self, node_id: str) -> int | None:
        kind = self.nodes[node_id].kind
        if kind == LOCAL:
            return self.recipe_images(node_id)
        if kind == _REPEAT:
            return _product([self._batch_at(node_id, "samples"), self._number(node_id, "amount")])
        return self._batch_at(node_id, _SAME_BATCH.get(kind, "latent_image"))

    def _batch_at(self, node_id: str, name: str) -> int | None:
        """Return the images in the batch at the input `name` of a node."""
        origin = self.nodes[node_id].origin(name)
        if origin is None or origin not in self.nodes:
            return None
        kind = self.nodes[origin].kind
        if kind in _WITH_BATCH:
            return self.batch.get(origin)
        if kind in _ONE_IMAGE:
            return 1
        makes_images = {"LATENT", "IMAGE"} & set(self.define(kind).outputs)
        return self._number(origin, "batch_size") if makes_images else None

    def _number(self, node_id: str, name: str) -> int | None:
        """Return a whole number that a widget holds, the node's own or that of a linked constant; else None."""
        value = self._value(node_id, name)
        for _ in range(_MOST_CONSTANTS):
            link = _link_of(value)
            if link is None or link[0] not in self.nodes or self.nodes[link[0]].kind != _CONSTANT:
                break
            value = self._value(link[0], "value")
        return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST else None

    def _value(self, node_id: str, name: str) -> Any:
        node = self.nodes[node_id]
        return node.inputs[name] if name in node.inputs else self.define(node.kind).default(name)


def _product(numbers: list[int | None]) -> int | None:
    if 0 in numbers:
        return 0
    product = None if None in numbers else math.prod(number for number in numbers if number is not None)
    return product if product is not None and product <= LARGEST else None


def _sum(numbers: list[int | None]) -> int | None:
    return None if None in numbers else sum(number for number in numbers if number is not None)
