"""IP-Adapter files: which are read, which are refused in one line, and which tower and model an adapter needs."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import micro
import micro_adapters
import micro_unets
import pytest
import random_model
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_mixer.local import embeds_file, engine, ip_adapter_file, sampling
from image_mixer.local.embeddings import Encoded
from image_mixer.local.methods.ip_adapter import IP_ADAPTER
from image_mixer.mixing.errors import EngineError, InputError, MixError
from image_mixer.mixing.mix import Ingredient, Mix
from image_mixer.mixing.recipe import Recipe
from image_mixer.tests.support.mixes import mix_of
from safetensors.torch import save_file


def write(path: Path, groups: dict[str, Any]) -> str:
    if path.suffix == ".bin":
        torch.save(groups, path)
    else:
        save_file(micro_adapters.flat(groups), str(path))
    return str(path)


def loaded(folder: Path, groups: dict[str, Any]) -> ip_adapter_file.Adapter:
    return ip_adapter_file.load(write(folder / "adapter.safetensors", groups))


# What is read


@pytest.mark.parametrize("kind", ["standard", "plus"])
def test_both_forms_of_a_file_are_one_adapter(tmp_path: Path, kind: str) -> None:
    make = {"standard": micro_adapters.standard, "plus": micro_adapters.plus}[kind]
    groups = make(micro.UNET, 64)
    read = [ip_adapter_file.load(write(tmp_path / f"a{suffix}", groups)) for suffix in ip_adapter_file.SUFFIXES]
    seen = torch.randn(1, 64) if kind == "standard" else torch.randn(1, 9, 64)
    one, other = (adapter.keys_and_values(seen) for adapter in read)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[0].shape == (read[0].tokens, sum(read[0].widths))
    assert (read[0].kind, read[0].tokens, read[0].context) == (kind, {"standard": 4, "plus": 16}[kind], 768)


def test_layers_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """The numbers are not padded: sorted as text, 11 would come before 3."""
    groups = micro_adapters.standard(micro.UNET, 64)
    attention = dict(sorted(groups["ip_adapter"].items()))
    assert next(iter(attention)).startswith("1.") and list(attention)[2].startswith("11.")
    adapter = loaded(tmp_path, {**groups, "ip_adapter": attention})
    expected = [groups["ip_adapter"][f"{number}.to_k_ip.weight"].shape[0] for number in range(1, 15, 2)]
    assert list(adapter.widths) == expected == micro_adapters.widths_of(micro.UNET)


def test_half_precision_files_compute_in_single(tmp_path: Path) -> None:
    groups = micro_adapters.standard(micro.UNET, 64)
    half = {group: {key: value.half() for key, value in state.items()} for group, state in groups.items()}
    keys, _ = loaded(tmp_path, half).keys_and_values(torch.randn(1, 64))
    assert keys.dtype == torch.float32


def test_its_weights_wait_in_comfyuis_model_management(tmp_path: Path) -> None:
    import comfy.model_management

    adapter = loaded(tmp_path, micro_adapters.standard(micro.UNET, 64))
    adapter.keys_and_values(torch.randn(1, 64))
    assert any(one.model is adapter.patcher for one in comfy.model_management.current_loaded_models)


def test_crops_of_a_tiled_picture_give_the_mean_of_their_tokens(tmp_path: Path) -> None:
    adapter = loaded(tmp_path, micro_adapters.plus(micro.UNET, 64))
    crops = torch.randn(3, 9, 64)
    together = adapter.keys_and_values(crops)[0]
    alone = torch.stack([adapter.keys_and_values(crop[None])[0] for crop in crops])
    assert torch.allclose(together, alone.mean(dim=0), atol=1e-5)


# What is refused


def broken(case: str) -> dict[str, Any]:
    groups = micro_adapters.plus(micro.UNET, 64) if "plus" in case else micro_adapters.standard(micro.UNET, 64)
    image_proj, attention = groups["image_proj"], groups["ip_adapter"]
    if case == "a layer without values":
        del attention["3.to_v_ip.weight"]
    elif case == "a layer of another context":
        attention["3.to_k_ip.weight"] = torch.zeros(32, 5)
    elif case == "a projection of another shape":
        image_proj["proj.weight"] = torch.zeros(7, 64)
    elif case == "no norm":
        del image_proj["norm.weight"]
    elif case == "an unknown projection":
        groups["image_proj"] = {"proj.0.weight": torch.zeros(4, 4), "proj.2.weight": torch.zeros(4, 4)}
    elif case == "keys that are no numbers":
        attention["one.to_k_ip.weight"] = attention.pop("1.to_k_ip.weight")
    elif case == "whole numbers":
        groups["ip_adapter"] = {key: value.to(torch.int32) for key, value in attention.items()}
    elif case == "plus without latents' shape":
        image_proj["latents"] = torch.zeros(4)
    elif case == "plus of odd heads":
        image_proj["layers.0.0.to_q.weight"] = torch.zeros(65, 128)
    elif case == "plus with a layer left out":
        groups["image_proj"] = {key: value for key, value in image_proj.items() if not key.startswith("layers.1.")}
    elif case == "a FaceID file":
        attention["0.to_q_lora.down.weight"] = torch.zeros(2, 2)
    return groups


BROKEN = (
    "a layer without values", "a layer of another context", "a projection of another shape", "no norm",
    "an unknown projection", "keys that are no numbers", "whole numbers", "plus without latents' shape",
    "plus of odd heads", "plus with a layer left out", "a FaceID file",
)  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_gets_one_line(tmp_path: Path, case: str) -> None:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, broken(case))
    line = str(caught.value)
    assert "adapter.safetensors" in line and "\n" not in line
    assert ("FaceID" in line) == (case == "a FaceID file")


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("content", ["junk", "empty", "truncated", "another family", "a list"])
def test_what_is_no_adapter_gets_one_line(tmp_path: Path, suffix: str, content: str) -> None:
    path = tmp_path / f"bad{suffix}"
    if content == "another family":
        lora = {"lora_unet_mid.lora_up.weight": torch.zeros(2, 2), "image_proj": torch.zeros(2)}
        torch.save(lora, path) if suffix == ".bin" else save_file(lora, str(path))
    elif content == "a list":
        torch.save([torch.zeros(2)], path)
    else:
        write(path, micro_adapters.standard(micro.UNET, 64))
        data = path.read_bytes()
        path.write_bytes({"junk": b"\x80\x04junk" * 50, "empty": b"", "truncated": data[: len(data) // 2]}[content])
    with pytest.raises(InputError) as caught:
        ip_adapter_file.load(str(path))
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "evil.bin").write_bytes(pickle.dumps({"image_proj": Evil(), "ip_adapter": {}}))
    torch.save({"image_proj": Evil(), "ip_adapter": {}}, tmp_path / "evil2.bin")
    torch.save({"image_proj": Evil(), "ip_adapter": {}}, tmp_path / "evil3.safetensors")
    for name in ("evil.bin", "evil2.bin", "evil3.safetensors"):
        with pytest.raises(InputError):
            ip_adapter_file.load(str(tmp_path / name))
    assert not (tmp_path / "ran").exists()


def test_other_kinds_of_file_are_not_even_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither .safetensors nor .bin"):
        ip_adapter_file.load(str(tmp_path / "not there.pkl"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.sampled_from(["image_proj.latents", "image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight",
        "ip_adapter.1.to_v_ip.weight", "ip_adapter.x", "image_proj.layers.0.0.to_q.weight", "ip_adapter.-1.to_k_ip.weight"]),
        unique=True),
    shape=st.lists(st.integers(0, 5), max_size=3),
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4),
)  # fmt: skip
def test_hostile_files_end_in_the_packs_own_errors(
    tmp_path: Path, keys: list[str], shape: list[int], flips: list[tuple[int, int]]
) -> None:
    path = tmp_path / "hostile.safetensors"
    save_file({key: torch.ones(shape) for key in keys}, str(path))
    data = bytearray(path.read_bytes())
    for place, value in flips:
        data[place % len(data)] = value
    path.write_bytes(bytes(data))
    try:
        ip_adapter_file.load(str(path))
    except MixError as error:
        assert "\n" not in str(error)


# Which tower and model it needs


def generated(adapter: Any, made: micro.MicroModels, mix: Mix | None = None, **changes: Any) -> Any:
    options = {key: changes.pop(key) for key in ("settings", "strength", "method") if key in changes}
    models = engine.Models(**{"model": made.model, "vae": made.vae, "clip": made.clip, "clip_vision": made.clip_vision,
        "adapter": adapter, **changes})  # fmt: skip
    recipe = Recipe(mix or mix_of(1.0), width=64, height=64, steps=1)
    return engine.generate(recipe, models, engine.Options(**{"method": "ip-adapter", **options}))


@pytest.fixture(autouse=True)
def nothing_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "sample", lambda *a, **k: pytest.fail("it sampled"))


TOWERS = [
    ("standard", 1024, "CLIP ViT-H/14 (1024 numbers)"),
    ("standard", 1280, "CLIP ViT-bigG/14 (1280 numbers)"),
    ("standard", 768, "CLIP ViT-L/14 (768 numbers)"),
    ("plus", 1280, "CLIP ViT-H/14 (1280 numbers)"),
    ("plus", 1664, "CLIP ViT-bigG/14 (1664 numbers)"),
    ("plus", 1024, "CLIP ViT-L/14 (1024 numbers)"),
]


@pytest.mark.parametrize(("kind", "width", "line"), TOWERS)
def test_a_wrong_tower_names_the_one_it_needs(
    tmp_path: Path, micro_models: micro.MicroModels, kind: str, width: int, line: str
) -> None:
    adapter = loaded(tmp_path, getattr(micro_adapters, kind)(micro.UNET, width))
    other = micro.vision_tower(3, projection_dim=32)
    with pytest.raises(EngineError) as caught:
        generated(adapter, micro_models, clip_vision=other)
    assert (
        f"adapter.safetensors needs the vision tower {line}" in str(caught.value) and caught.value.cause == "no tower"
    )


def test_a_wide_tower_is_named_too(tmp_path: Path, micro_models: micro.MicroModels) -> None:
    adapter = loaded(tmp_path, micro_adapters.standard(micro.UNET, 1280))
    with pytest.raises(
        EngineError, match=r"bigG/14 \(1280 numbers\); the connected tower makes 768, as CLIP ViT-L/14 does"
    ):
        generated(adapter, micro_models)


def test_embeddings_without_hidden_states_are_refused_by_a_plus_file(tmp_path: Path, micro_models: Any) -> None:
    adapter = loaded(tmp_path, micro_adapters.plus(micro.UNET, 64))
    embeddings = engine.embed_all(mix_of(1.0), engine.Encoders(micro_models.clip_vision))
    vectors_alone = replace(embeddings, encoded=tuple(Encoded(one.vector) for one in embeddings.encoded))
    with pytest.raises(EngineError, match="needs the vision tower"):
        IP_ADAPTER.check_embeddings(vectors_alone, micro_models.model, adapter)


def test_saved_embeddings_know_what_no_picture_looks_like(tmp_path: Path, micro_models: Any) -> None:
    adapter = loaded(tmp_path, micro_adapters.plus(micro.UNET, 64))
    embeddings = engine.embed_all(mix_of(1.0), engine.Encoders(micro_models.clip_vision))
    embeds_file.save(embeddings, tmp_path / "e.safetensors")
    text = micro_models.clip.encode_from_tokens_scheduled(micro_models.clip.tokenize("a"))
    made = [
        engine.apply(engine.Target(micro_models.model, text, text, adapter=adapter), given)[2][0][1]["model_conds"]
        for given in (embeddings, embeds_file.load(tmp_path / "e.safetensors"))
    ]
    assert made[0].keys() == made[1].keys()
    assert all(torch.equal(made[0][key].cond, made[1][key].cond) for key in made[0])
    with pytest.raises(EngineError, match="encode the pictures again"):
        engine.apply(engine.Target(micro_models.model, text, text, adapter=adapter), replace(embeddings, blank=None))


def test_a_model_of_another_family_is_refused(tmp_path: Path, micro_models: micro.MicroModels) -> None:
    adapter = loaded(tmp_path, micro_adapters.standard(micro_unets.SDXL_LAYOUT, 768))
    with pytest.raises(
        EngineError, match=r"made for SDXL \(70 layers\); the model is \w+, SD1.x \(7 layers\)"
    ) as caught:
        generated(adapter, micro_models)
    assert caught.value.cause == "wrong model"
    sdxl = micro_unets.model_of(random_model.unet_state(micro_unets.SDXL, 1))
    with pytest.raises(EngineError, match="made for SDXL"):
        generated(adapter, micro_models, model=sdxl)


def test_a_model_without_cross_attention_is_refused(tmp_path: Path) -> None:
    class Flux:
        diffusion_model = torch.nn.Identity()

    flux = Flux()
    model = SimpleNamespace(model=flux, get_model_object=lambda name: flux.diffusion_model)
    adapter = loaded(tmp_path, micro_adapters.standard(micro.UNET, 768))
    with pytest.raises(EngineError, match="Flux has no cross-attention") as caught:
        IP_ADAPTER.check_model(model, adapter)
    assert caught.value.cause == "wrong model"


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("no adapter", {"adapter": None}, "needs an IP-Adapter: connect Load IP-Adapter"),
    ("a style model", {"adapter": object()}, "needs an IP-Adapter: connect Load IP-Adapter"),
    ("no text tower", {"clip": None}, "Method ip-adapter needs the model's text tower: connect clip"),
    ("no vision tower", {"clip_vision": None}, "connect clip_vision"),
    ("a text", {"mix": Mix((Ingredient("text", "a cat"),), ((1.0,),))}, "is a text, which ip-adapter does not take"),
    ("too heavy", {"mix": mix_of(3.0), "strength": 2.0}, "weight x strength 6; ip-adapter takes -5 to 5"),
    ("below 0", {"mix": mix_of(1.0, -0.5)}, "A negative weight needs combine set to sum"),
    ("combine", {"settings": {"combine": "mean"}}, "Unknown value 'mean' for combine: choose one of shared, sum."),
    ("layers", {"settings": {"layers": "some"}}, "Unknown value 'some' for layers: choose one of all, style"),
    ("unknown layout", {"settings": {"layers": "style"}}, "this model has 7 transformers: choose all"),
    ("auto", {"adapter": None, "method": "auto"}, "connect an adapter (Load IP-Adapter)"),
]


@pytest.mark.parametrize(("name", "changes", "line"), CASES, ids=[case[0] for case in CASES])
def test_one_line_before_sampling(
    tmp_path: Path, micro_models: micro.MicroModels, name: str, changes: dict[str, Any], line: str
) -> None:
    made = replace(micro_models, model=micro_models.model.clone())
    made.model.attachments = {}
    adapter = loaded(tmp_path, micro_adapters.standard(micro.UNET, 768))
    with pytest.raises(MixError) as caught:
        generated(changes.get("adapter", adapter), made, **{k: v for k, v in changes.items() if k != "adapter"})
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_prompts_are_needed(tmp_path: Path, micro_models: micro.MicroModels) -> None:
    adapter = loaded(tmp_path, micro_adapters.standard(micro.UNET, 768))
    embeddings = engine.embed_all(mix_of(1.0), engine.Encoders(micro_models.clip_vision))
    with pytest.raises(InputError, match="connect positive and negative"):
        engine.apply(engine.Target(micro_models.model, adapter=adapter), embeddings, "ip-adapter")


def test_negative_weights_subtract_in_sum(tmp_path: Path, micro_models: micro.MicroModels) -> None:
    adapter = loaded(tmp_path, micro_adapters.standard(micro.UNET, 768))
    text = micro_models.clip.encode_from_tokens_scheduled(micro_models.clip.tokenize("a"))
    carried = []
    for weight in (0.5, -0.5):
        embeddings = engine.embed_all(mix_of(weight), engine.Encoders(micro_models.clip_vision))
        settings = {"combine": "sum"}
        _, positive, _ = engine.apply(
            engine.Target(micro_models.model, text, text, adapter=adapter), embeddings, settings=settings
        )
        carried.append(next(iter(positive[0][1]["model_conds"].values())).cond)
    changed = carried[0] != carried[1]
    assert torch.equal(carried[0][changed], -carried[1][changed]) and 0.4 < float(changed.float().mean()) < 0.6
