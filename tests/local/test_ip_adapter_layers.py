"""Which layers method ip-adapter reaches, counted in the real layouts of SD1.5 and SDXL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import micro
import micro_unets
import pytest
import random_model
import torch
from image_mixer.local import engine
from image_mixer.local.methods import image_attention, ip_adapter
from image_mixer.local.methods.layer_profiles import PROFILES, profile_of
from image_mixer.tests.support.ip_adapter_scene import adapter_of, once
from image_mixer.tests.support.mixes import mix_of


@pytest.fixture(scope="module")
def sd15_layout() -> Any:
    return micro_unets.model_of(random_model.unet_state(micro_unets.SD15_LAYOUT, 1))


@pytest.fixture(scope="module")
def sdxl_layout() -> Any:
    return micro_unets.model_of(random_model.unet_state(micro_unets.SDXL_LAYOUT, 1))


@pytest.mark.parametrize(("layout", "blocks", "transformers"), [("sd15_layout", 16, 16), ("sdxl_layout", 70, 11)])
def test_every_cross_attention_is_reached(
    request: pytest.FixtureRequest, tmp_path: Path, layout: str, blocks: int, transformers: int
) -> None:
    """There is one patch per cross-attention, including the middle block's; each runs and changes the output."""
    model = request.getfixturevalue(layout)
    unet = micro_unets.SD15_LAYOUT if layout == "sd15_layout" else micro_unets.SDXL_LAYOUT
    layers = image_attention.layers_of(model.get_model_object("diffusion_model"))
    assert (len(layers), layers[-1].transformer + 1) == (blocks, transformers)
    assert sum(layer.id[0] == "middle" for layer in layers) == unet["transformer_depth_middle"]
    adapter = adapter_of(tmp_path, "standard", unet)
    assert len(adapter.widths) == blocks
    embeddings = engine.embed_all(mix_of(1.0), engine.Encoders(micro.vision_tower(4)))
    pooled = {"pooled_output": torch.zeros(1, 1280)} if layout == "sdxl_layout" else {}
    text = [[torch.zeros(1, 7, unet["context_dim"]), pooled]]
    conditioned, positive, negative = engine.apply(engine.Target(model, text, text, adapter=adapter), embeddings)
    patches = conditioned.model_options["transformer_options"]["patches_replace"]["attn2"]
    assert set(patches) == {layer.id for layer in layers}
    changed = set()
    for place, patch in patches.items():
        patches[place] = lambda q, k, v, options, place=place, patch=patch: _noting(
            changed, place, patch(q, k, v, options), image_attention.optimized_attention(q, k, v, options["n_heads"])
        )
    once(conditioned, positive, negative)
    assert changed == {layer.id for layer in layers}


def _noting(changed: set[Any], place: Any, out: torch.Tensor, text_alone: torch.Tensor) -> torch.Tensor:
    if not torch.equal(out, text_alone):
        changed.add(place)
    return out


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_reach_the_layers_that_they_name(sd15_layout: Any, profile: str) -> None:
    layers = ip_adapter._layers(sd15_layout)
    shares = profile_of(profile, layers)
    begin, found = 0, {}
    for layer in layers:
        found[layer.transformer] = float(shares[begin])
        assert bool((shares[begin : begin + layer.width] == shares[begin]).all())
        begin += layer.width
    ordered = [found[i] for i in range(16)]
    if profile == "style":
        assert [i for i, share in enumerate(ordered) if share] == [*range(4), *range(9, 16)]
    elif profile == "composition":
        assert {i: share for i, share in enumerate(ordered) if share} == {4: 0.25, 5: 1.0}
    elif profile == "strong style":
        assert [i for i, share in enumerate(ordered) if not share] == [4, 5]
    elif profile == "all":
        assert set(ordered) == {1.0}
    else:
        ends = {"ease in": (1.0, 0.05), "ease out": (0.05, 1.0), "ease in-out": (0.05, 0.05)}[profile]
        assert (ordered[0], ordered[-1]) == pytest.approx(ends)
        middle = 0.05 + 0.95 * {"ease in": 8 / 15, "ease out": 7 / 15, "ease in-out": 14 / 15}[profile]
        assert ordered[7] == pytest.approx(middle)


def test_sdxls_style_and_composition_are_instantstyles_blocks(sdxl_layout: Any) -> None:
    """Style: the second attention of diffusers' first up block. Composition: the second of its third down block."""
    layers = image_attention.layers_of(sdxl_layout.get_model_object("diffusion_model"))
    blocks = {layer.transformer: layer.id[:2] for layer in layers}
    assert (blocks[6], blocks[3]) == (("output", 1), ("input", 8))
