"""tests/web/rows.json, the rows that the page's script is tested against, holds what Python computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from image_mixer.mixing.errors import WeightsError
from image_mixer.mixing.sweeps import EASINGS, PATTERNS, blend, sweep
from image_mixer.mixing.weights import Row, parse

FILE = Path(__file__).resolve().parents[1] / "web" / "rows.json"
TEXTS = ("", "0.5, 0.7", " 1;2\n3 ", "-.5,+2e1,1.", "x", "0x10", "1e999", "Infinity", "1 2,,3", "1_0", "\u0663")


def rows() -> dict[str, Any]:
    """Return texts, sweeps and blends with their rows; null if a text is refused."""
    sweeps = [
        (ingredients, pattern, variants, seed)
        for pattern in PATTERNS
        for ingredients in (1, 2, 3, 4)
        for variants in (1, 2, 7, 20)
        for seed in ((0, 5, 2**32 + 1, 2**40) if pattern == "random" and variants == 2 else (7,))
    ]
    blends = [((1.0, 0.0), (0.25, 1.0), variants, easing) for easing in EASINGS for variants in (1, 2, 5)]
    return {
        "parse": [{"text": text, "row": _parsed(text)} for text in TEXTS],
        "sweep": [
            {"ingredients": n, "pattern": p, "variants": v, "seed": s, "rows": sweep(n, p, v, s)}
            for n, p, v, s in sweeps
        ],
        "blend": [
            {"from": start, "to": end, "variants": v, "easing": e, "rows": blend(start, end, v, e)}
            for start, end, v, e in blends
        ],
    }


def _parsed(text: str) -> Row | None:
    try:
        return parse(text)
    except WeightsError:
        return None


def test_the_file_holds_what_the_pack_makes() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(rows())), f"write {FILE.name} anew"


if __name__ == "__main__":
    FILE.write_text(json.dumps(rows(), ensure_ascii=False, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
