"""The stages of the training in order. Each reads what those before it left in the work folder, and leaves its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from comfy.sd1_clip import SDTokenizer
from torch import Tensor, nn

from . import autoencoder, captions, denoiser, judge, mixes, networks, scenes, towers
from . import pool as pools
from .loop import Plan, Team, fit

log = logging.getLogger("demo_training")

BATCH = 64
PICTURES_EACH = 60
POOL_PARTS = 2
RECIPE_SHARE = 0.15


@dataclass(frozen=True)
class Shop:
    """Where a stage works: the folder of checkpoints, the team that shares its batch, and its time."""

    work: Path
    team: Team
    minutes: float

    def done(self, name: str) -> Path:
        """The finished weights of a stage."""
        return self.work / f"{name}.done.pt"

    def load(self, name: str, model: nn.Module) -> nn.Module:
        """Put the finished weights of a stage into `model`, ready to be used."""
        model.load_state_dict(torch.load(self.done(name), weights_only=True))
        return model.eval()

    def fit(self, name: str, model: nn.Module, loss: Callable[[torch.Generator], Tensor], plan: Plan) -> bool:
        """Train and, once the plan's steps are done, keep the weights."""
        finished = fit(model, loss, plan, self.work / f"{name}.pt", self.minutes, self.team)
        if finished and self.team.rank == 0:
            torch.save(model.state_dict(), self.done(name))
        return finished

    def note(self, **figures: object) -> None:
        """Write figures down for the model card."""
        file = self.work / "notes.json"
        notes = json.loads(file.read_text("utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**notes, **figures}, indent=1), "utf-8")
        log.info("%s", figures)


def train_vae(shop: Shop) -> bool:
    """The autoencoder, on the training combinations."""
    model = autoencoder.build()
    finished = shop.fit("vae", model, autoencoder.loss_of(model), Plan(1800, 2e-3, seed=11))
    if finished:
        shop.note(vae_decibels=round(autoencoder.decibels(model, scenes.split("choose")), 2))
    return finished


def train_vision(shop: Shop) -> bool:
    """The vision tower, on the training combinations."""
    tower = networks.vision_tower()
    with networks.trainable_layers():
        return shop.fit("vision", tower, towers.vision_loss(tower, scenes.split("train")), Plan(1500, 1.5e-3, seed=12))


def widen_vision(shop: Shop) -> bool:
    """The vision tower again, on every combination: like CLIP, it has seen more than the denoiser."""
    tower = shop.load("vision", networks.vision_tower())
    loss = towers.vision_loss(tower, scenes.split("all"))
    with networks.trainable_layers():
        finished = shop.fit("vision_wide", tower, loss, Plan(400, 1e-3, seed=15, average=0.99))
    if finished:
        right = towers.vision_accuracy(tower, scenes.split("choose"), 2048)
        shop.note(tower_right=dict(zip(scenes.FACTORS, right, strict=True)))
    return finished


def train_text(shop: Shop) -> bool:
    """The text tower, and the vectors of captions that the denoiser is going to hear."""
    tokeniser = SDTokenizer().tokenizer

    def tokenise(text: str) -> list[int]:
        return list(tokeniser(text)["input_ids"])

    tokens = towers.vocabulary(tokenise)
    pool = towers.caption_pool(tokenise, tokens, 20000, seed=21)
    student = towers.TextStudent(networks.text_tower(), tokens)
    with networks.trainable_layers():
        finished = shop.fit("text", student, towers.text_loss(student, pool), Plan(1500, 2e-3, seed=13))
    if finished:
        student.finish()
        spoken = towers.speak(student, pool)
        wanted = captions.caption_vectors(spoken.factors, spoken.known)
        error = (spoken.vectors - wanted).square().sum() / wanted.square().sum()
        shop.note(text_relative_error=round(float(error), 5))
        torch.save({"tower": student.tower.state_dict(), "tokens": tokens}, shop.done("text"))
        torch.save(vars(spoken), shop.done("spoken"))
    return finished


def train_judge(shop: Shop) -> bool:
    """The judge, on real pictures of the training combinations."""
    model = judge.build()
    finished = shop.fit("judge", model, judge.loss_of(model), Plan(700, 2e-3, seed=14))
    if finished:
        shop.note(judge_right={name: judge.accuracy(model, scenes.split(name)) for name in ("choose", "report")})
    return finished


def train_recipe(shop: Shop) -> bool:
    """The denoiser by the image mixer's own recipe."""
    pool = _pool(shop)
    model = networks.unet()
    plan = Plan(1500, 1.5e-3, seed=61, warmup=200, last=0.5, average=0.998)
    return shop.fit("recipe", model, denoiser.loss_of(model, pool, None, BATCH // shop.team.size, 1.0), plan)


def train_mixtures(shop: Shop) -> bool:
    """The denoiser on mixtures, from where the recipe left it."""
    pool = _pool(shop)
    model = shop.load("recipe", networks.unet())
    stored = torch.load(shop.done("spoken"), weights_only=True)
    loss = denoiser.loss_of(model, pool, mixes.Spoken(**stored), BATCH // shop.team.size, RECIPE_SHARE)
    plan = Plan(5000, 1.5e-3, seed=62, first=0.6, last=0.01)
    return shop.fit("mixtures", model, loss, plan)


STAGES: dict[str, Callable[[Shop], bool]] = {
    "vae": train_vae,
    "vision": train_vision,
    "vision_wide": widen_vision,
    "text": train_text,
    "judge": train_judge,
    "recipe": train_recipe,
    "mixtures": train_mixtures,
}
SHARED = frozenset({"recipe", "mixtures"})
"""Stages whose batch is shared by a team."""


def _pool(shop: Shop) -> pools.Pool:
    """The pool of encoded pictures; in the first stage that needs it, all of the team encode a part of it."""
    combinations = scenes.split("train")
    files = [shop.work / f"pool.{part}.pt" for part in range(POOL_PARTS)]
    for part, rows in enumerate(combinations.chunk(POOL_PARTS)):
        if part % shop.team.size == shop.team.rank and not files[part].exists():
            vae = shop.load("vae", autoencoder.build())
            tower = shop.load("vision_wide", networks.vision_tower())
            pools.encode_part(vae, tower, rows, PICTURES_EACH, 51 + part, files[part])
    shop.team.wait()
    return pools.read(combinations, PICTURES_EACH, files)
