"""benchmarks/remote.py as `tools/comfy.py bench remote` runs it, every figure at its smallest size."""

from __future__ import annotations

import math
import subprocess
import sys

from image_mixer.tools.comfy_tool.commands import bench

FIGURES = {
    "overhead_s",
    "calls_per_job",
    "poll_advantage",
    "upload4_ratio",
    "schedule_ratio",
    "beside_local_ratio",
    "beside_local_quartile1",
    "beside_local_quartile3",
    "reuse_s",
    "peak_mb_per_picture",
}


def test_the_remote_benchmark_measures_every_figure() -> None:
    command = [sys.executable, str(bench.FOLDER / "remote.py"), "--quick"]
    done = subprocess.run(
        command, cwd=bench.FOLDER, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    figures = bench.figures_of(done.stdout.splitlines()[-1], "remote")
    assert set(figures) == FIGURES
    values = {name: facts["value"] for name, facts in figures.items()}
    assert all(math.isfinite(value) and value > 0 for value in values.values()), values
    assert all(facts["aim"] is None for facts in figures.values())
