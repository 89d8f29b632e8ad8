"""The scenes in which the contract of methods is tried: for each method, micro models and settings that it works with.

A new method needs an entry in SCENES: a function that makes a Scene. tests/local/test_methods.py does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfy.clip_vision
import comfy.sd
import edit_models
import micro
import micro_flux
import micro_unclip
import random_model
import torch
from comfy.ldm.flux.redux import ReduxImageEncoder
from image_mixer.local import ip_adapter_file
from image_mixer.local.methods import ip_adapter, options_of, redux, unclip
from image_mixer.mixing.mix import Ingredient, Mix, Picture
from image_mixer.tests.support import ip_adapter_scene, pictures, reference_scene
from image_mixer.tests.support.local_engine import Conditioned, Models, applied, encoded, generated
from image_mixer.tests.support.mixes import recipe_of
from image_mixer.tests.support.prompted import Prompted

GUIDANCE = 3.0
TOKENS = 5
"""Tokens that an Image Mixer looks at, used or not."""

POSITIVE, NEGATIVE = "a cat", ""
SEED = 7


class Scene(ABC):
    """A method on a model, with the settings that are tried. `limits` of the method say what else is asked of it."""

    method: str
    settings: Mapping[str, Any]
    ordered = False
    """Whether the model itself tells the first picture from the second."""

    samples = 1
    """Samples per variant that are tried in one batch."""

    extra_row: tuple[float, float, float] | None = None
    """Weights of one more variant, for settings that take negative weights."""

    batch_tolerance = 1e-4
    """How far an item of a batch may be from the same item alone."""

    span_tolerance = 0.0
    """How far the model may be from a picture's absence outside its span."""

    columns = 8
    """Width of the latents."""

    @property
    @abstractmethod
    def model(self) -> Any:
        """The MODEL that is given to the method."""

    @abstractmethod
    def picture(self, index: int) -> Ingredient:
        """Return the picture with this number."""

    @abstractmethod
    def run(
        self,
        mix: Mix,
        *,
        strength: float = 1.0,
        steps: int = 2,
        guidance: float = GUIDANCE,
        seed: int = SEED,
        samples: int = 1,
        prompt: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> torch.Tensor:
        """Return the latents [variants x samples, ...] of `mix`; all items of Apply Mix start from the same noise."""

    @abstractmethod
    def plain(self, steps: int = 2) -> torch.Tensor:
        """Return the latent [1, ...] of the same prompts and noise without any mix, by ComfyUI's own sampling."""

    @abstractmethod
    def conditioned(self, mix: Mix, strength: float = 1.0) -> Conditioned:
        """Return what Apply Mix makes of `mix`."""

    def encoders(self) -> list[tuple[Any, str]]:
        """Return (class, method) of everything that looks at pictures; with new weights none of them may run again."""
        return []

    def affordable(self) -> Mapping[str, list[Any]]:
        """Return values to try instead of a setting's whole range, for settings that cost time."""
        return {}

    def mix(self, *weights: float, rows: Any = None) -> Mix:
        """Return a mix of the first pictures, with one variant of `weights` or one variant per row of `rows`."""
        matrix = rows or (weights,)
        return Mix(tuple(self.picture(index) for index in range(len(matrix[0]))), matrix)


@dataclass
class Generated(Scene):
    """A scene in which Image Mixer (Local) makes the pictures."""

    method: str
    models: Models
    settings: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = POSITIVE
    size: tuple[int, int] = (56, 56)
    samples: int = 1
    ordered: bool = False
    extra_row: tuple[float, float, float] | None = None
    batch_tolerance: float = 1e-4
    span_tolerance: float = 0.0
    looks: tuple[tuple[Any, str], ...] = ()
    affords: Mapping[str, list[Any]] = field(default_factory=dict)
    distilled: bool = False

    @property
    def model(self) -> Any:
        return self.models.model

    def picture(self, index: int) -> Ingredient:
        return pictures.picture(index, *self.size)

    def run(
        self,
        mix: Mix,
        *,
        strength: float = 1.0,
        steps: int = 2,
        guidance: float = GUIDANCE,
        seed: int = SEED,
        samples: int = 1,
        prompt: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> torch.Tensor:
        recipe = recipe_of(
            mix,
            prompt=self.prompt if prompt is None else prompt,
            steps=steps,
            guidance_scale=guidance,
            seed=seed,
            samples=samples,
        )
        chosen = self.settings if settings is None else settings
        return generated(recipe, self.models, self.method, chosen, strength=strength)

    def plain(self, steps: int = 2) -> torch.Tensor:
        import nodes

        channels = self.model.get_model_object("latent_format").latent_channels
        guidance = 1.0 if self.distilled else GUIDANCE
        latent = {"samples": torch.zeros(1, channels, 8, 8)}
        arguments = (SEED, steps, guidance, "euler", "normal", *self._texts(), latent)
        return nodes.common_ksampler(self.model, *arguments)[0]["samples"]

    def conditioned(self, mix: Mix, strength: float = 1.0) -> Conditioned:
        embeddings = encoded(mix, self.models, self.settings)
        text = Conditioned(self.model, *self._texts())
        return applied(embeddings, text, self.method, strength, self.settings, self.models.adapter)

    def encoders(self) -> list[tuple[Any, str]]:
        return list(self.looks)

    def affordable(self) -> Mapping[str, list[Any]]:
        return self.affords

    def _texts(self) -> tuple[Any, Any]:
        """The prompts as CONDITIONING; for a method whose tokens are all pictures', as many tokens of zeros."""
        if not self.prompt:
            zeros = [[torch.zeros(1, TOKENS, micro.WIDTH), {}]]
            return zeros, zeros
        told = {"guidance": GUIDANCE} if self.distilled else {}
        positive, negative = (
            [
                [context, {**options, **told}]
                for context, options in self.models.clip.encode_from_tokens_scheduled(self.models.clip.tokenize(text))
            ]
            for text in (POSITIVE, NEGATIVE)
        )
        return positive, negative


@dataclass
class Applied(Scene):
    """A scene of method reference: Apply Mix on latents of several sizes, then Euler from one noise."""

    denoiser: Any
    method: str = "reference"
    settings: Mapping[str, Any] = field(default_factory=dict)
    ordered: bool = True
    columns: int = reference_scene.WIDTH

    @property
    def model(self) -> Any:
        return self.denoiser

    def picture(self, index: int) -> Ingredient:
        return Ingredient("image", Picture(f"{index:064x}", None))

    def run(
        self,
        mix: Mix,
        *,
        strength: float = 1.0,
        steps: int = 2,
        guidance: float = GUIDANCE,
        seed: int = SEED,
        samples: int = 1,
        prompt: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> torch.Tensor:
        chosen = self.settings if settings is None else settings
        mixed = applied(reference_scene.embeddings_for(self.model, mix), self._text(), self.method, strength, chosen)
        return reference_scene.sampled(mixed, items=mix.variants, steps=steps, cfg=guidance)

    def plain(self, steps: int = 2) -> torch.Tensor:
        return reference_scene.sampled(self._text(), steps=steps, cfg=GUIDANCE)

    def conditioned(self, mix: Mix, strength: float = 1.0) -> Conditioned:
        embeddings = reference_scene.embeddings_for(self.model, mix)
        return applied(embeddings, self._text(), self.method, strength, self.settings)

    def _text(self) -> Conditioned:
        return Conditioned(self.model, reference_scene.text(self.model), reference_scene.text(self.model, 8))


class Clip(Prompted):
    """A text encoder whose tokens are drawn from the text: other prompts get other numbers."""

    def __init__(self, made: Callable[[int], Any]) -> None:
        self.cond_stage_model = torch.nn.Identity()
        self._made = made

    def encode_from_tokens_scheduled(self, tokens: str) -> Any:
        """Return the CONDITIONING of a text."""
        return self._made(sum(map(ord, tokens)))


class Vae:
    """A VAE for tests of latents only; its pictures are black."""

    first_stage_model = torch.nn.Identity()
    patcher = SimpleNamespace(patches={})

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Return black pictures."""
        return torch.zeros(samples.shape[0], 8, 8, 3)


SEEN = 24
"""Width of the vision encoder in the scene of redux."""

VISION = ((comfy.clip_vision.ClipVisionModel, "encode_image"),)

Made = Callable[[micro.MicroModels, Path], Scene]
"""Makes a scene from a set of micro models and a folder for files."""


def style_model(seed: int = 5, seen: int = SEEN, width: int = micro_flux.CONTEXT) -> Any:
    """Return a STYLE_MODEL with a Redux encoder of random numbers."""
    encoder = ReduxImageEncoder(seen, width, dtype=torch.float32)
    encoder.load_state_dict(random_model.random_state(encoder, seed))
    return comfy.sd.StyleModel(encoder.requires_grad_(False))


def redux_models() -> Models:
    """Return a micro Flux with a SigLIP and a style model for it."""
    vision = micro.vision_tower(4, model_type="siglip_vision_model", hidden_size=SEEN, projection_dim=8)
    return Models(micro_flux.build(), Vae(), Clip(lambda seed: micro_flux.text(seed=seed)), vision, style_model())


def unclip_models(kind: str, vae: Any) -> Models:
    """Return a micro SD2.1-unCLIP ("l", "h") or SDXL ("sdxl") with a vision encoder for it."""
    vision = micro.vision_tower(4, projection_dim=micro_unclip.WIDTHS[kind])
    return Models(micro_unclip.build(kind), vae, Clip(lambda seed: micro_unclip.text(kind, seed=seed)), vision)


def _image_mixer(made: micro.MicroModels, folder: Path) -> Scene:
    models = Models(made.model, made.vae, made.clip, made.clip_vision)
    return Generated("image mixer", models, prompt="", samples=2, looks=VISION)


def _ip_adapter(kind: str, combine: str) -> Made:
    def scene(made: micro.MicroModels, folder: Path) -> Scene:
        adapter = ip_adapter_scene.adapter_of(folder, kind, micro.UNET)
        models = Models(made.model, made.vae, made.clip, made.clip_vision, adapter)
        looks = (*VISION, (ip_adapter_file.Layers, "forward"))
        extra = (-0.4, 1.0, 0.0) if combine == "sum" else None
        return Generated(
            "ip-adapter", models, {"combine": combine}, looks=looks, extra_row=extra, samples=2,
            span_tolerance=0.0 if combine == "sum" else 1e-4,
        )  # fmt: skip

    return scene


def _redux(combine: str) -> Made:
    def scene(made: micro.MicroModels, folder: Path) -> Scene:
        looks = (*VISION, (ReduxImageEncoder, "forward"))
        extra = (-0.4, 1.0, 0.0) if combine == redux.SUM else None
        return Generated(
            "redux", redux_models(), {"combine": combine}, looks=looks, extra_row=extra, distilled=True,
            batch_tolerance=1e-5,
        )  # fmt: skip

    return scene


def _unclip(kind: str, settings: Mapping[str, Any]) -> Made:
    def scene(made: micro.MicroModels, folder: Path) -> Scene:
        extra = None if settings.get("combine") == unclip.SPHERICAL else (-0.4, 1.0, 0.0)
        return Generated("unclip", unclip_models(kind, made.vae), settings, looks=VISION, extra_row=extra)

    return scene


def _applied(family: str) -> Made:
    return lambda made, folder: Applied(edit_models.build(family))


def _reference(family: str) -> Made:
    def scene(made: micro.MicroModels, folder: Path) -> Scene:
        vae = edit_models.MicroVAE(video=family != "flux")
        models = Models(edit_models.build(family), vae, edit_models.MicroCLIP())
        return Generated(
            "reference", models, {"megapixels": 0.05}, ordered=True, size=(64, 96),
            looks=((edit_models.MicroVAE, "encode"),), distilled=family == "flux",
            affords={"megapixels": [0.05, 0.06, 0.049, 4.001, -1.0, 0.0, float("nan"), float("inf")]},
        )  # fmt: skip

    return scene


NOISY = {"noise_augmentation": 0.5, "noise_seed": 3}

SCENES: dict[str, dict[str, Made]] = {
    "image mixer": {"micro SD1.5": _image_mixer},
    "ip-adapter": {
        f"{kind}, {combine}": _ip_adapter(kind, combine)
        for kind in ("standard", "plus")
        for combine in options_of(ip_adapter.IPAdapterSettings)["combine"].choices
    },
    "redux": {combine: _redux(combine) for combine in redux.COMBINES},
    "unclip": {
        **{f"{kind}, noised": _unclip(kind, NOISY) for kind in micro_unclip.WIDTHS},
        **{f"l, {combine}": _unclip("l", {"combine": combine}) for combine in (unclip.SPHERICAL, unclip.SUM)},
    },
    "reference": {
        **{family: _applied(family) for family in reference_scene.FAMILIES},
        **{f"{family}, with its VAE": _reference(family) for family in ("flux", "qwen_image")},
    },
}
"""The scenes of each method by name."""

MORE: dict[str, dict[str, Made]] = {
    "unclip": {
        f"{kind}, {combine}": _unclip(kind, {"combine": combine})
        for kind in ("h", "sdxl")
        for combine in (unclip.SPHERICAL, unclip.SUM)
    }
}
"""Further scenes, for what the contract says of weights only."""


def missing(methods: list[str]) -> list[str]:
    """Return those of `methods` that no scene tries."""
    return [method for method in methods if not SCENES.get(method)]


def cases(methods: list[str], more: bool = False) -> list[tuple[str, str]]:
    """Return (method, scene) of every scene of these methods, `more` with those in MORE."""
    parts = (SCENES, MORE) if more else (SCENES,)
    return [(method, name) for method in methods for part in parts for name in part.get(method, {})]


def made(case: tuple[str, str], models: micro.MicroModels, folder: Path) -> Scene:
    """Make the scene that `cases` names."""
    method, name = case
    return {**SCENES.get(method, {}), **MORE.get(method, {})}[name](models, folder)


def with_all(mix: Mix, **changes: Any) -> Mix:
    """Return `mix` with these fields changed in every ingredient."""
    return replace(mix, ingredients=tuple(replace(one, **changes) for one in mix.ingredients))
