"""A real ControlNet of ComfyUI beside a mix: each acts as it does without the other."""

from __future__ import annotations

from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.patcher_extension
import micro
import pytest
import random_model
import torch
from image_mixer.local import engine
from image_mixer.tests.support.ip_adapter_scene import (  # fmt: skip
    NEAR,
    adapter_of,
    applied,
    embedded,
    forward,
    near,
    once,
    texts,
)
from image_mixer.tests.support.mixes import mix_of

import nodes

HINT = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(11))


@pytest.fixture(scope="module")
def control_net() -> Any:
    net = comfy.cldm.cldm.ControlNet(hint_channels=3, dtype=torch.float32, **micro.UNET)
    net.load_state_dict(random_model.random_state(net, 21))
    return comfy.controlnet.ControlNet(net.eval(), load_device=torch.device("cpu"))


@pytest.fixture(scope="module", params=["shared", "sum"])
def combine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def models(micro_models: Any, tmp_path_factory: pytest.TempPathFactory) -> engine.Models:
    made = micro_models
    adapter = adapter_of(tmp_path_factory.mktemp("adapters"), "standard", micro.UNET)
    return engine.Models(made.model, made.vae, made.clip, made.clip_vision, adapter)


def controlled(conditioning: tuple[Any, Any], net: Any, strength: float = 1.0) -> tuple[Any, Any]:
    """Return both conditionings after core's Apply ControlNet."""
    made: tuple[Any, Any] = nodes.ControlNetApplyAdvanced().apply_controlnet(
        *conditioning, net, HINT, strength, 0.0, 1.0
    )
    return made


def residuals_of(model: Any, *conditioning: Any) -> list[torch.Tensor]:
    """Return what the denoiser receives from ControlNets in one step."""
    seen: list[torch.Tensor] = []

    def look(executor: Any, *given: Any, **more: Any) -> Any:
        control = more["control"] if "control" in more else given[4]
        seen.extend(one.clone() for part in control.values() for one in part if one is not None)
        return executor(*given, **more)

    model = model.clone()
    model.add_wrapper(comfy.patcher_extension.WrappersMP.APPLY_MODEL, look)
    once(model, *conditioning)
    return seen


@pytest.mark.parametrize("behind", [True, False], ids=["control behind the mix", "mix behind the control"])
def test_both_act(models: engine.Models, control_net: Any, combine: str, behind: bool) -> None:
    embeddings = embedded(models, 1.0, 0.5)
    if behind:
        model, *conditioned = applied(models, embeddings, models.model, *texts(models), combine)
        both = (model, *controlled((conditioned[0], conditioned[1]), control_net))
    else:
        both = applied(models, embeddings, models.model, *controlled(texts(models), control_net), combine)
    made = once(*both)
    control_alone = once(models.model, *controlled(texts(models), control_net))
    assert not near(made, control_alone, 10 * NEAR)
    assert not near(made, once(*applied(models, embeddings, models.model, *texts(models), combine)), 10 * NEAR)
    # The adapter does not act on the ControlNet, whose output is the same without a mix.
    expected = residuals_of(models.model, *controlled(texts(models), control_net))
    found = residuals_of(*both)
    assert len(found) == len(expected) > 4
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_without_strength_each_is_absent_bit_for_bit(models: engine.Models, control_net: Any, combine: str) -> None:
    embeddings = embedded(models, 1.0, 0.5)
    behind = controlled(texts(models), control_net)
    made = forward(models, embeddings, combine, positive=behind[0], negative=behind[1], strength=0.0)
    assert torch.equal(made, once(models.model, *behind))
    off = controlled(texts(models), control_net, strength=0.0)
    made = forward(models, embeddings, combine, positive=off[0], negative=off[1])
    assert torch.equal(made, forward(models, embeddings, combine))


def test_an_item_of_a_batch_is_its_run_alone(models: engine.Models, control_net: Any, combine: str) -> None:
    rows = ((1.0, 0.0), (0.25, 0.75))
    behind = controlled(texts(models), control_net)

    def of(rows: Any, items: int) -> torch.Tensor:
        embeddings = engine.embed_all(mix_of(rows=rows), engine.Encoders(models.clip_vision))
        return forward(models, embeddings, combine, items, positive=behind[0], negative=behind[1])

    together, first, second = of(rows, 2), of(rows[:1], 2)[:1], of(rows[1:], 2)[1:]
    assert near(together, torch.cat([first, second]))
    assert not near(together[:1], of(rows[1:], 2)[:1], 10 * NEAR)
