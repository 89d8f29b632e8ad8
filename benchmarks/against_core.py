"""bench against_core: what unclip, redux and reference add to a forward, compared to core's own nodes.

Micro models of random numbers (a Flux of two blocks, an SDXL of 64 channels) on the CPU and one thread. Core's nodes have
no weights in `redux` chained with `multiply` and in reference latents, so they do the least work possible for as many
tokens; ours use unequal weights. Operations are those that reach a device in one forward of ComfyUI's sampling.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import _measure
from _measure import figure
from methods import forward_of, operations_of, ratio_of, seconds_of, weights_of

SEEN = 24


@dataclass(frozen=True)
class Sizes:
    """How much is measured: numbers of pictures, the latents' side, Redux tokens per side, rounds of timing."""

    counts: tuple[int, ...] = (1, 2, 4)
    side: int = 64
    tokens: int = 27
    rounds: int = 10


QUICK = Sizes(counts=(1,), side=8, tokens=3, rounds=2)


def embeddings_of(encoded: list[Any], weights: tuple[float, ...]) -> Any:
    """Return the embeddings of pictures whose encoders' answers are `encoded`."""
    from image_mixer.local.embeddings import Embeddings
    from image_mixer.mixing.mix import Ingredient, Mix, Picture

    ingredients = tuple(Ingredient("image", Picture(f"{index:064x}", None)) for index in range(len(encoded)))
    return Embeddings(Mix(ingredients, (weights,)), tuple(encoded))


def drawn(seed: int, *shape: int) -> Any:
    """Return normally distributed numbers of that shape."""
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def redux(count: int, sizes: Sizes) -> dict[str, Any]:
    """Return conditionings of that many pictures, 729 tokens each: the plain model's, core's and ours."""
    import comfy.sd
    import micro_flux
    import random_model
    from comfy.ldm.flux.redux import ReduxImageEncoder
    from image_mixer.local import engine
    from image_mixer.local.embeddings import Encoded

    import nodes

    encoder = ReduxImageEncoder(SEEN, micro_flux.CONTEXT)
    encoder.load_state_dict(random_model.random_state(encoder, 5))
    style = comfy.sd.StyleModel(encoder.requires_grad_(False))
    model, text = micro_flux.build(), micro_flux.text(tokens=256)
    seen = [drawn(index, 1, sizes.tokens**2, SEEN) for index in range(count)]
    chained = text
    for one in seen:
        answer = SimpleNamespace(last_hidden_state=one)
        (chained,) = nodes.StyleModelApply().apply_stylemodel(chained, style, answer, 1.0, "multiply")

    def ours(combine: str) -> Any:
        embeddings = embeddings_of([Encoded(last=one) for one in seen], weights_of(count))
        return engine.apply(
            engine.Target(model, text, text, adapter=style), embeddings, "redux", settings={"combine": combine}
        )

    return {
        "plain": (model, text, text),
        "core": (model, chained, text),
        "concatenate": ours("concatenate"),
        "weighted_sum": ours("weighted sum"),
    }


def reference(count: int, sizes: Sizes) -> dict[str, Any]:
    """Return conditionings of so many references of the picture's own size."""
    import edit_models
    import node_helpers
    from image_mixer.local import engine
    from image_mixer.local.embeddings import Encoded

    model = edit_models.build("flux")
    text = [[drawn(1, 1, 256, edit_models.TEXT), {"pooled_output": drawn(2, 1, edit_models.POOLED)}]]
    latents = [drawn(10 + index, 1, 16, sizes.side, sizes.side) for index in range(count)]
    core = node_helpers.conditioning_set_values(text, {"reference_latents": latents}, append=True)
    embeddings = embeddings_of([Encoded(latent=latent) for latent in latents], weights_of(count))
    return {
        "plain": (model, text, text),
        "core": (model, core, text),
        "weighted": engine.apply(engine.Target(model, text, text), embeddings, "reference"),
    }


def unclip(count: int, sizes: Sizes) -> dict[str, Any]:
    """Return conditionings of so many vectors in SDXL's pooled embedding."""
    import micro_unclip
    import node_helpers
    from image_mixer.local import engine
    from image_mixer.local.embeddings import Encoded

    model, text = micro_unclip.build("sdxl"), micro_unclip.text("sdxl")
    vectors = [drawn(20 + index, micro_unclip.WIDTHS["sdxl"]) for index in range(count)]
    core = text
    for vector in vectors:
        given = {
            "clip_vision_output": SimpleNamespace(image_embeds=vector[None]), "strength": 1.0, "noise_augmentation": 0.0,
        }  # fmt: skip
        core = node_helpers.conditioning_set_values(core, {"unclip_conditioning": [given]}, append=True)
    embeddings = embeddings_of([Encoded(vector) for vector in vectors], weights_of(count))
    return {
        "plain": (model, text, text),
        "core": (model, core, text),
        "average": engine.apply(engine.Target(model, text, text), embeddings, "unclip"),
    }


SCENES: dict[str, tuple[Callable[[int, Sizes], dict[str, Any]], int]] = {
    "redux": (redux, 16),
    "reference": (reference, 16),
    "unclip": (unclip, 4),
}
"""For each method the function that makes its cases, and the channels of its latents."""


def measured(method: str, count: int, sizes: Sizes) -> dict[str, Any]:
    """Measure the operations beyond the plain model's, and the processor time relative to core's nodes."""
    scene, channels = SCENES[method]
    runs = {
        name: forward_of(case, sizes.side, 1.0, channels, noisiest=1.0) for name, case in scene(count, sizes).items()
    }
    counted = {name: operations_of(run).total() for name, run in runs.items()}
    spent = seconds_of(runs, sizes.rounds)
    figures = {}
    for name in list(runs)[2:]:
        middle, spread = ratio_of(spent[name], spent["core"])
        key = f"{method}_{name}_{count}"
        figures[f"{key}_ops"] = figure(counted[name] - counted["plain"], None, "operations")
        figures[f"{key}_core_ops"] = figure(counted["core"] - counted["plain"], None, "operations")
        figures[f"{key}_time_ratio"] = figure(middle, None, "of core's nodes")
        figures[f"{key}_time_spread"] = figure(spread, None, "between quartiles")
    return figures


def main(methods: list[str], sizes: Sizes) -> dict[str, Any]:
    """Measure every method, or those that are named."""
    import torch

    figures: dict[str, Any] = {}
    with torch.inference_mode():
        for method in methods or SCENES:
            for count in sizes.counts:
                figures |= measured(method, count, sizes)
    return figures


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    asked = _measure.options(__doc__, "methods")
    _measure.in_comfyui()
    _measure.report(main(asked.methods, QUICK if asked.quick else Sizes()), asked.quick)
