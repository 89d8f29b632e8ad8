"""Method ip-adapter under torch.compile, as core's node applies it."""

from __future__ import annotations

import shutil
from typing import Any

import comfy.ldm.modules.attention as attention
import micro
import pytest
import torch
import torch._dynamo
from comfy_api.torch_helpers import set_torch_compile_wrapper
from image_mixer.local import engine, ip_adapter_file
from image_mixer.local.methods import image_attention
from image_mixer.tests.support.ip_adapter_scene import NEAR, adapter_of, embedded, once
from torch._dynamo.utils import counters

has_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++") or shutil.which("cl")), reason="inductor needs a C++ compiler"
)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> ip_adapter_file.Adapter:
    return adapter_of(tmp_path_factory.mktemp("adapter"), "standard", micro.UNET)


@pytest.fixture(autouse=True)
def attention_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU core's attention asks the system for free memory, which breaks graphs even without a patch."""
    for module in (attention, image_attention):
        monkeypatch.setattr(module, "optimized_attention", attention.attention_pytorch)


def breaks_of(model: Any, conditionings: list[Any], backend: str) -> tuple[int, list[torch.Tensor]]:
    """Return (graph breaks, results) of one compiled model with each conditioning in turn."""
    torch._dynamo.reset()
    counters.clear()
    compiled = model.clone()
    set_torch_compile_wrapper(model=compiled, backend=backend)
    made = [once(compiled, positive, negative).clone() for positive, negative in conditionings]
    return sum(counters["graph_break"].values()), made


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=[has_compiler, pytest.mark.soak])])
@pytest.mark.parametrize("combine", ["shared", "sum"])
def test_compiled_once_it_serves_other_weights_without_graph_breaks(
    micro_models: Any, adapter: Any, backend: str, combine: str
) -> None:
    made = micro_models
    text, avoided = (made.clip.encode_from_tokens_scheduled(made.clip.tokenize(t)) for t in ("a cat", ""))
    settings = {"combine": combine}
    runs = [
        engine.apply(
            engine.Target(made.model, text, avoided, adapter=adapter), embedded(made, *weights), settings=settings
        )
        for weights in ((1.0, 0.4), (0.2, 0.9))
    ]
    expected = [once(*run) for run in runs]
    assert float((expected[0] - expected[1]).abs().max()) > 10 * NEAR
    breaks, compiled = breaks_of(runs[0][0], [run[1:] for run in runs], backend)
    assert breaks == 0
    for one, other in zip(compiled, expected, strict=True):
        assert float((one - other).abs().max()) <= NEAR


def test_a_changed_weight_compiles_nothing_again(micro_models: Any, adapter: Any) -> None:
    made = micro_models
    text, avoided = (made.clip.encode_from_tokens_scheduled(made.clip.tokenize(t)) for t in ("a cat", ""))
    runs = [
        engine.apply(engine.Target(made.model, text, avoided, adapter=adapter), embedded(made, *weights))
        for weights in ((1.0, 0.4), (0.2, 0.9), (0.7, 0.1))
    ]
    torch._dynamo.reset()
    counters.clear()
    compiled = runs[0][0].clone()
    set_torch_compile_wrapper(model=compiled, backend="eager")
    frames = []
    for run in runs:
        once(compiled, *run[1:])
        frames.append(counters["frames"]["ok"])
    assert frames[0] > 0 and frames[1] == frames[2]
