"""benchmarks/page.py runs as `tools/comfy.py bench page --quick` runs it. Its figures are looked at, and none is judged."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from image_mixer.tools.comfy_tool.commands import bench


@pytest.mark.smoke
def test_the_page_benchmark_measures_every_figure() -> None:
    done = subprocess.run(
        [sys.executable, *bench.command_of("page", quick=True)],
        cwd=bench.FOLDER,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = bench.figures_of(done.stdout.splitlines()[-1], "page")
    assert set(figures) == {"page_load_ratio", "drag_frame_ms", "script_kb", "style_kb"}
    assert all(facts["aim"] is None and math.isfinite(facts["value"]) for facts in figures.values()), figures
    assert figures["script_kb"]["value"] <= 60
