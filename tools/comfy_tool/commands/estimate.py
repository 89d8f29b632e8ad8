"""Count the images and paid jobs that a prompt makes at most, as far as the graph contains the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..workflow.objectinfo import ObjectInfo
from ..workflow.prompt import Prompt, link_of, title_of

REMOTE, LOCAL = "ImageMixerRemote", "ImageMixerLocal"
_MIX_APPENDERS = ("ImageMixerAddImage", "ImageMixerAddText", "ImageMixerAddURL")
_CONSTANTS = ("PrimitiveInt",)
_SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
_SAME_BATCH = {
    "VAEEncode": "pixels",
    "VAEEncodeForInpaint": "pixels",
    "SetLatentNoiseMask": "samples",
    "LatentUpscale": "samples",
    "LatentUpscaleBy": "samples",
}
_ONE_IMAGE = ("LoadImage", "LoadImageMask", "LoadImageOutput")


@dataclass(frozen=True)
class NodeEstimate:
    """The images of one node, None if the graph computes the number."""

    node_id: str
    title: str
    images: int | None
    paid: bool


@dataclass(frozen=True)
class Estimate:
    """The nodes that make images, and the sums, None if one of the numbers is not known in advance."""

    nodes: tuple[NodeEstimate, ...]

    @property
    def images(self) -> int | None:
        """All images, at most."""
        return _sum([node.images for node in self.nodes])

    @property
    def paid_jobs(self) -> int | None:
        """All paid jobs, at most: one per image of a remote node."""
        return _sum([node.images for node in self.nodes if node.paid])


def estimate(prompt: Prompt, info: ObjectInfo, needed: list[str]) -> Estimate:
    """Return the estimate for the nodes of a prompt that would run, `needed`."""
    graph = _Graph(prompt, info)
    found = []
    for node_id in needed:
        node = prompt[node_id]
        if node["class_type"] in (LOCAL, REMOTE):
            images = _product([graph.recipe_images(node_id), graph.runs(node_id)])
        elif node["class_type"] in _SAMPLERS:
            images = _product([graph.batch(node_id), graph.runs(node_id)])
        else:
            continue
        found.append(NodeEstimate(node_id, title_of(node), images, node["class_type"] == REMOTE))
    return Estimate(tuple(found))


def sweep_rows(pattern: str, variants: int, ingredients: int) -> int:
    """Return the number of rows of Sweep Weights.

    The simplex pattern is a lattice with N corners and r steps per edge, which has C(r + N - 1, N - 1) points. It uses
    the finest one that does not have more points than variants, and at least the N corners.
    """
    if pattern == "one at a time":
        return ingredients
    if pattern != "simplex":
        return variants
    if ingredients <= 1:
        return 1
    steps = 1
    while math.comb(steps + ingredients, ingredients - 1) <= max(variants, ingredients):
        steps += 1
    return math.comb(steps + ingredients - 1, ingredients - 1)


class _Graph:
    def __init__(self, prompt: Prompt, info: ObjectInfo) -> None:
        self.prompt = prompt
        self.info = info

    def recipe_images(self, node_id: str) -> int | None:
        """Return variants times samples of an engine node's recipe."""
        recipe = self._origin(node_id, "recipe", "ImageMixerRecipe")
        if recipe is None:
            return None
        return _product([self._rows_of_mix(recipe), self._number(recipe, "samples")])

    def runs(self, node_id: str) -> int | None:
        """Return how often a node runs: once per item of the longest list among its inputs."""
        node = self.prompt[node_id]
        if self.info.get(node["class_type"], {}).get("is_input_list"):
            return 1
        lengths = [self._list_length(*link) for link in map(link_of, node["inputs"].values()) if link]
        if None in lengths:
            return None
        return max([1, *(length for length in lengths if length is not None)])

    def batch(self, node_id: str) -> int | None:
        """Return the number of images in the latents that one run of a node outputs."""
        node = self.prompt[node_id]
        name = node["class_type"]
        if name in _SAMPLERS:
            return self._batch_at(node_id, "latent_image")
        if name == LOCAL:
            return self.recipe_images(node_id)
        if name == "RepeatLatentBatch":
            return _product([self._batch_at(node_id, "samples"), self._number(node_id, "amount")])
        if name in _SAME_BATCH:
            return self._batch_at(node_id, _SAME_BATCH[name])
        if name in _ONE_IMAGE:
            return 1
        outputs = self.info.get(name, {}).get("output") or []
        return self._number(node_id, "batch_size") if "LATENT" in outputs or "IMAGE" in outputs else None

    def _batch_at(self, node_id: str, name: str) -> int | None:
        link = link_of(self.prompt[node_id]["inputs"].get(name))
        return self.batch(link[0]) if link and link[0] in self.prompt else None

    def _rows_of_mix(self, node_id: str) -> int | None:
        """Return the rows of the mix at a node's input `mix`. All weights with several rows have the same number of rows."""
        rows: list[int | None] = [1]
        link = link_of(self.prompt[node_id]["inputs"].get("mix"))
        while link is not None:
            node = self.prompt.get(link[0])
            if node is None or node["class_type"] not in ("ImageMixerMix", *_MIX_APPENDERS):
                return None
            if "weights" in node["inputs"]:
                rows.append(self._rows_of_weights(link[0]))
            link = link_of(node["inputs"].get("mix"))
        return None if None in rows else max(row for row in rows if row is not None)

    def _rows_of_weights(self, node_id: str) -> int | None:
        link = link_of(self.prompt[node_id]["inputs"].get("weights"))
        origin = self.prompt.get(link[0]) if link else None
        if link is None or origin is None:
            return None
        name = origin["class_type"]
        if name == "ImageMixerWeights":
            return 1
        if name == "ImageMixerBlendWeights":
            return self._number(link[0], "variants")
        if name != "ImageMixerSweepWeights":
            return None
        pattern = origin["inputs"].get("pattern")
        variants, ingredients = self._number(link[0], "variants"), self._number(link[0], "ingredients")
        if not isinstance(pattern, str) or variants is None or ingredients is None:
            return None
        return sweep_rows(pattern, variants, ingredients)

    def _list_length(self, node_id: str, slot: int) -> int | None:
        """Return how many items an output has over all runs of its node."""
        node = self.prompt.get(node_id)
        if node is None:
            return 1
        runs = self.runs(node_id)
        lists = self.info.get(node["class_type"], {}).get("output_is_list") or []
        if slot >= len(lists) or not lists[slot]:
            return runs
        if node["class_type"] != "ImageMixerSeedSequence":
            return None
        return _product([runs, self._number(node_id, "count")])

    def _origin(self, node_id: str, name: str, wanted: str) -> str | None:
        link = link_of(self.prompt[node_id]["inputs"].get(name))
        origin = self.prompt.get(link[0]) if link else None
        return link[0] if link and origin and origin["class_type"] == wanted else None

    def _number(self, node_id: str, name: str) -> int | None:
        """Return the whole number in a widget, or in a node that only holds a number, None for anything else."""
        value = self.prompt[node_id]["inputs"].get(name, self._default(node_id, name))
        link = link_of(value)
        if link is not None:
            origin = self.prompt.get(link[0])
            return self._number(link[0], "value") if origin and origin["class_type"] in _CONSTANTS else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _default(self, node_id: str, name: str) -> Any:
        sections = self.info.get(self.prompt[node_id]["class_type"], {}).get("input") or {}
        for section in ("required", "optional"):
            spec = (sections.get(section) or {}).get(name)
            if spec and len(spec) > 1:
                return spec[1].get("default")
        return None


def _product(numbers: list[int | None]) -> int | None:
    if 0 in numbers:
        return 0
    return None if None in numbers else math.prod(number for number in numbers if number is not None)


def _sum(numbers: list[int | None]) -> int | None:
    return None if None in numbers else sum(number for number in numbers if number is not None)
