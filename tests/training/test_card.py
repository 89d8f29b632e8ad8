"""The demo model's README is what training/card.py writes: whoever changes one changes the other."""

from __future__ import annotations

import re
from typing import Any

from image_mixer.local import demo
from image_mixer.training import scenes
from image_mixer.training.card import card

README = (demo.FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_readme_is_what_the_training_writes() -> None:
    assert card(figures(), notes(), round(float(_found(r"mixer of ([\d.]+) MB")) * 1e6)) == README


def figures() -> dict[str, dict[str, Any]]:
    """Return the figures of the table, as benchmarks/demo.py gives them."""
    rows = re.findall(r"^\| `(\w+)` \| .+? \| (\S+) (.+?) \| (.*?) \|$", README, re.MULTILINE)
    return {name: {"value": float(value), "unit": unit, "aim": aim} for name, value, unit, aim in rows}


def notes() -> dict[str, Any]:
    """Return what the stages wrote down, as it is in the text."""
    tower, judge = re.findall(r"((?:\w+ [\d.]+%(?:, )?){4})", README)
    return {
        "vae_decibels": _found(r"([\d.]+) dB"),
        "tower_right": _shares(tower),
        "judge_right": {"report": _shares(judge)},
    }


def _shares(text: str) -> dict[str, float]:
    shares = {name: float(share) / 100 for name, share in re.findall(r"(\w+) ([\d.]+)%", text)}
    assert list(shares) == list(scenes.FACTORS)
    return shares


def _found(pattern: str) -> str:
    (found,) = re.findall(pattern, README)
    return str(found)
