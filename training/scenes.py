"""Draw procedural pictures with independent factors, from signed distances, at any resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SHAPES = ("square", "triangle", "ring", "star", "cross", "heart")
COLOURS = ("red", "yellow", "green", "cyan", "blue", "pink")
PATTERNS = ("plain", "striped", "dotted", "checked")
BACKGROUNDS = ("snow", "night", "sunset", "meadow")

FACTORS: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": COLOURS,
    "pattern": PATTERNS,
    "background": BACKGROUNDS,
}
SIZES = tuple(len(values) for values in FACTORS.values())
COMBINATIONS = math.prod(SIZES)

_INK = {
    "red": (0.86, 0.13, 0.13),
    "yellow": (0.98, 0.84, 0.12),
    "green": (0.13, 0.62, 0.20),
    "cyan": (0.15, 0.80, 0.85),
    "blue": (0.15, 0.25, 0.90),
    "pink": (0.95, 0.40, 0.75),
}
_OUTLINE = (0.07, 0.07, 0.10)
_DARKER = 0.32
_OUTLINE_WIDTH = 0.09
_SPLIT_SEED = 20
_HELD_OUT = 64


@dataclass(frozen=True)
class Scenes:
    """A batch of pictures before they are drawn.

    factors: int64 [B, 4], indices in the order of FACTORS. centre: float [B, 2], the middle of the shape in 0..1 of
    the picture. size: float [B], its radius in the same unit.
    """

    factors: Tensor
    centre: Tensor
    size: Tensor

    def __len__(self) -> int:
        return len(self.factors)

    def __getitem__(self, index: slice | Tensor) -> Scenes:
        return Scenes(self.factors[index], self.centre[index], self.size[index])


def generator(seed: int) -> torch.Generator:
    """Return a new generator, so that the global one is not used."""
    return torch.Generator().manual_seed(seed)


def combination_factors(index: Tensor) -> Tensor:
    """Return the factors [N, 4] of combination indices [N]."""
    columns = []
    for size in reversed(SIZES):
        columns.append(index % size)
        index = index // size
    return torch.stack(columns[::-1], dim=-1)


def combination_index(factors: Tensor) -> Tensor:
    """Return the combination indices [...] of factors [..., 4]."""
    index = torch.zeros_like(factors[..., 0])
    for column, size in enumerate(SIZES):
        index = index * size + factors[..., column]
    return index


def split(name: str) -> Tensor:
    """Return the factors [N, 4] of every combination in `train`, `choose` (for choices) or `report` (for the figures)."""
    order = torch.randperm(COMBINATIONS, generator=generator(_SPLIT_SEED))
    parts = {
        "report": order[:_HELD_OUT],
        "choose": order[_HELD_OUT : 2 * _HELD_OUT],
        "train": order[2 * _HELD_OUT :],
        "all": order,
    }
    return combination_factors(parts[name])


def scatter(factors: Tensor, source: torch.Generator) -> Scenes:
    """Return scenes of factors [B, 4], each with a random size and position."""
    count = len(factors)
    size = 0.33 + 0.09 * torch.rand(count, generator=source)
    reach = (0.48 - size).clamp(min=0.0)
    centre = 0.5 + (torch.rand(count, 2, generator=source) * 2 - 1) * reach[:, None]
    return Scenes(factors, centre, size)


def sample(combinations: Tensor, count: int, source: torch.Generator) -> Scenes:
    """Return scenes of combinations [N, 4], drawn evenly."""
    rows = torch.randint(len(combinations), (count,), generator=source)
    return scatter(combinations[rows], source)


def views(count: int, source: torch.Generator, smallest: float = 0.5) -> Tensor:
    """Return random square crops [B, 3]: left, top and side, each in 0..1 of the picture."""
    side = smallest + (1 - smallest) * torch.rand(count, generator=source)
    corner = torch.rand(count, 2, generator=source) * (1 - side)[:, None]
    return torch.cat([corner, side[:, None]], dim=1)


def draw(scenes: Scenes, pixels: int = 64, view: Tensor | None = None) -> Tensor:
    """Return pictures [B, 3, pixels, pixels] in 0..1, whole or cropped to view [B, 3]."""
    count = len(scenes)
    grid = (torch.arange(pixels) + 0.5) / pixels
    if view is None:
        view = torch.tensor([[0.0, 0.0, 1.0]]).expand(count, 3)
    x = (view[:, 0, None] + view[:, 2, None] * grid)[:, None, :].expand(count, pixels, pixels)
    y = (view[:, 1, None] + view[:, 2, None] * grid)[:, :, None].expand(count, pixels, pixels)
    pixel = (view[:, 2] / pixels)[:, None, None]
    radius = scenes.size[:, None, None]
    u = (x - scenes.centre[:, 0, None, None]) / radius
    v = (y - scenes.centre[:, 1, None, None]) / radius
    edge = pixel / radius

    distance = torch.empty_like(u)
    shade = torch.empty_like(u)
    background = torch.empty(count, 3, pixels, pixels)
    for number, name in enumerate(SHAPES):
        rows = (scenes.factors[:, 0] == number).nonzero()[:, 0]
        if len(rows):
            distance[rows] = _DISTANCES[name](u[rows], v[rows])
    for number, name in enumerate(PATTERNS):
        rows = (scenes.factors[:, 2] == number).nonzero()[:, 0]
        if len(rows):
            shade[rows] = _pattern(name, u[rows], v[rows], edge[rows])
    for number, name in enumerate(BACKGROUNDS):
        rows = (scenes.factors[:, 3] == number).nonzero()[:, 0]
        if len(rows):
            background[rows] = _background(name, y[rows], pixel[rows])

    ink = torch.tensor([_INK[name] for name in COLOURS])[scenes.factors[:, 1]][:, :, None, None]
    filled = ink * (1 - (1 - _DARKER) * shade[:, None])
    outline = torch.tensor(_OUTLINE)[None, :, None, None]
    inside = _cover(distance + _OUTLINE_WIDTH, edge)[:, None]
    within = _cover(distance, edge)[:, None]
    body = outline + (filled - outline) * inside
    return (background + (body - background) * within).clamp_(0, 1)


def _cover(distance: Tensor, edge: Tensor) -> Tensor:
    """Return how much of a pixel of width `edge` is on the inner side of a signed distance."""
    return (0.5 - distance / edge).clamp(0, 1)


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - 0.80


def _triangle(u: Tensor, v: Tensor) -> Tensor:
    side = (1.70 * u.abs() - 1.0 * (v + 1.0)) / math.hypot(1.70, 1.0)
    return torch.maximum(side, v - 0.72)


def _ring(u: Tensor, v: Tensor) -> Tensor:
    return ((u * u + v * v).sqrt() - 0.66).abs() - 0.29


def _star(u: Tensor, v: Tensor) -> Tensor:
    """Return the distance to a star of five points, by folding the plane (Inigo Quilez, "2D distance functions")."""
    cosine, sine = math.cos(math.pi / 5), math.sin(math.pi / 5)
    px, py = u.abs(), -v
    for fold in (cosine, -cosine):
        reach = 2 * (fold * px - sine * py).clamp(min=0)
        px, py = px - reach * fold, py + reach * sine
    px, py = px.abs(), py - 1.0
    inner = 0.44
    bx, by = inner * sine, inner * cosine - 1.0
    along = ((px * bx + py * by) / (bx * bx + by * by)).clamp(0, 1)
    away = ((px - bx * along) ** 2 + (py - by * along) ** 2).sqrt()
    return away * torch.sign(py * bx - px * by)


def _cross(u: Tensor, v: Tensor) -> Tensor:
    x, y = u.abs(), v.abs()
    arms = torch.maximum(torch.maximum(x, y) - 0.95, torch.minimum(x, y) - 0.33)
    return arms


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """Return the distance to a heart (formula: Inigo Quilez, "2D distance functions"), scaled to this picture's unit."""
    scale = 1.75
    x, y = u.abs() / scale, (0.95 - v) / scale
    lobe = ((x - 0.25) ** 2 + (y - 0.75) ** 2).sqrt() - math.sqrt(2) / 4
    fold = 0.5 * (x + y).clamp(min=0)
    near = torch.minimum(x * x + (y - 1) ** 2, (x - fold) ** 2 + (y - fold) ** 2).sqrt() * torch.sign(x - y)
    return torch.where(x + y > 1, lobe, near) * scale


_DISTANCES = {"square": _square, "triangle": _triangle, "ring": _ring, "star": _star, "cross": _cross, "heart": _heart}


def _pattern(name: str, u: Tensor, v: Tensor, edge: Tensor) -> Tensor:
    """Return how much of the darker tone a pixel shows, 0..1."""
    if name == "striped":
        period = 0.62
        wave = ((u + v) * math.sqrt(0.5) / period + 0.25).remainder(1.0)
        return _cover(((wave - 0.5).abs() - 0.25) * period, edge)
    if name == "dotted":
        period = 0.54
        x = (u / period + 0.5).remainder(1.0) - 0.5
        y = (v / period + 0.5).remainder(1.0) - 0.5
        return _cover((x * x + y * y).sqrt() * period - 0.17, edge)
    if name == "checked":
        cell = 0.44
        x = (u / cell / 2).remainder(1.0)
        y = (v / cell / 2).remainder(1.0)
        across = _cover(((x - 0.5).abs() - 0.25) * 2 * cell, edge)
        down = _cover(((y - 0.5).abs() - 0.25) * 2 * cell, edge)
        return across + down - 2 * across * down
    return torch.zeros_like(u)


def _background(name: str, y: Tensor, pixel: Tensor) -> Tensor:
    """Return backgrounds [B, 3, H, W] for heights y [B, H, W] in 0..1."""

    def blend(top: tuple[float, float, float], bottom: tuple[float, float, float], share: Tensor) -> Tensor:
        first = torch.tensor(top)[None, :, None, None]
        second = torch.tensor(bottom)[None, :, None, None]
        return first + (second - first) * share[:, None]

    if name == "snow":
        return blend((0.97, 0.98, 1.00), (0.88, 0.91, 0.95), y)
    if name == "night":
        return blend((0.04, 0.04, 0.12), (0.13, 0.12, 0.28), y)
    if name == "sunset":
        return blend((0.47, 0.25, 0.58), (1.00, 0.60, 0.35), y)
    horizon = _cover(0.64 - y, pixel)
    return blend((0.62, 0.82, 0.98), (0.45, 0.68, 0.32), horizon)
