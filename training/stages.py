"""Run the stages of the training, in order. Each reads the results of earlier stages from the work folder and adds its own."""

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
from .loop import Plan, Team, fit
from .pool import Pool, encode_part, read_pool

log = logging.getLogger("demo_training")

BATCH = 64
PICTURES_EACH = 60
POOL_PARTS = 2
RECIPE_SHARE = 0.15


@dataclass(frozen=True)
class Shop:
    """What a stage works with: the folder of checkpoints, the team that shares its batch, and its time in minutes."""

    work: Path
    team: Team
    minutes: float

    def done(self, name: str) -> Path:
        """Return the path of a stage's finished weights."""
        return self.work / f"{name}.done.pt"

    def load(self, name: str, model: nn.Module) -> nn.Module:
        """Load the finished weights of a stage into `model` and return it in evaluation mode."""
        model.load_state_dict(torch.load(self.done(name), weights_only=True))
        return model.eval()

    def fit(self, name: str, model: nn.Module, loss: Callable[[torch.Generator], Tensor], plan: Plan) -> bool:
        """Train and, when the plan's steps are done, save the weights. Return whether they are done."""
        finished = fit(model, loss, plan, self.work / f"{name}.pt", self.minutes, self.team)
        if finished and self.team.rank == 0:
            torch.save(model.state_dict(), self.done(name))
        return finished

    def note(self, **figures: object) -> None:
        """Save figures for the model card."""
        file = self.work / "notes.json"
        notes = json.loads(file.read_text("utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**notes, **figures}, indent=1), "utf-8")
        log.info("%s", figures)


def train_vae(shop: Shop) -> bool:
    """Train the autoencoder on the training combinations."""
    model = autoencoder.build()
    finished = shop.fit("vae", model, autoencoder.loss_of(model), Plan(1800, 2e-3, seed=11))
    if finished:
        shop.note(vae_decibels=round(autoencoder.decibels(model, scenes.split("choose")), 2))
    return finished


def train_vision(shop: Shop) -> bool:
    """Train the vision tower on the training combinations."""
    tower = networks.vision_tower()
    with networks.trainable_layers():
        return shop.fit("vision", tower, towers.vision_loss(tower, scenes.split("train")), Plan(1500, 1.5e-3, seed=12))


def widen_vision(shop: Shop) -> bool:
    """Train the vision tower further, on every combination: like CLIP, it has then seen more than the denoiser."""
    tower = shop.load("vision", networks.vision_tower())
    loss = towers.vision_loss(tower, scenes.split("all"))
    with networks.trainable_layers():
        finished = shop.fit("vision_wide", tower, loss, Plan(400, 1e-3, seed=15, average=0.99))
    if finished:
        right = towers.vision_accuracy(tower, scenes.split("choose"), 2048)
        shop.note(tower_right=dict(zip(scenes.FACTORS, right, strict=True)))
    return finished


def train_text(shop: Shop) -> bool:
    """Train the text tower, and save the vectors of the captions that the denoiser learns from."""
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
    """Train the judge on real pictures of the training combinations."""
    model = judge.build()
    finished = shop.fit("judge", model, judge.loss_of(model), Plan(700, 2e-3, seed=14))
    if finished:
        shop.note(judge_right={name: judge.accuracy(model, scenes.split(name)) for name in ("choose", "report")})
    return finished


def train_recipe(shop: Shop) -> bool:
    """Train the denoiser as the original image mixer was trained."""
    pool = _pool(shop)
    model = networks.unet()
    plan = Plan(1500, 1.5e-3, seed=61, warmup=200, last=0.5, average=0.998)
    return shop.fit("recipe", model, denoiser.loss_of(model, pool, None, BATCH // shop.team.size, 1.0), plan)


def train_mixtures(shop: Shop) -> bool:
    """Train the denoiser further, on mixtures."""
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
"""Stages whose batch is shared by several processes."""


def _pool(shop: Shop) -> Pool:
    """Return the pool of encoded pictures. In the first stage that needs it, each process encodes a part of it."""
    combinations = scenes.split("train")
    files = [shop.work / f"pool.{part}.pt" for part in range(POOL_PARTS)]
    for part, rows in enumerate(combinations.chunk(POOL_PARTS)):
        if part % shop.team.size == shop.team.rank and not files[part].exists():
            vae = shop.load("vae", autoencoder.build())
            tower = shop.load("vision_wide", networks.vision_tower())
            encode_part(vae, tower, rows, PICTURES_EACH, 51 + part, files[part])
    shop.team.wait()
    return read_pool(combinations, PICTURES_EACH, files)
