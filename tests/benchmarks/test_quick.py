"""Every benchmark runs as `tools/comfy.py bench NAME --quick` runs it. Its figures are looked at, and none is judged.

`page` needs a browser: tests/browser/test_bench_page.py.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from image_mixer.tools.comfy_tool.commands import bench

NAMES = [name for name in bench.available() if name != "page"]
FIGURES = {
    "against_core": {"redux_concatenate_1_ops", "reference_weighted_1_time_ratio", "unclip_average_1_core_ops"},
    "demo": {"single_match", "ends_match", "spearman", "trace", "trace_middle", "text_pull", "swap_difference"},
    "hybrid": {"overlap_ratio", "local_s", "remote_s", "both_s"},
    "local": {"import_ms", "import_first_ms", "sweep64_peak_ratio", "overhead_ratio", "sweep8_ratio"},
    "methods": {"ip_ops_sd15", "ip_stalls_sdxl", "encodes_on_weight_change", "ip_peak_ratio_1", "ip_time_ratio"},
    "remote": {
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
    },
}
"""The figures that a benchmark must give, by its name; it may give more."""

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def quick() -> Iterator[Run]:
    """Runs of all benchmarks, two at a time, since each mostly waits for imports; quick("local") waits for one."""

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *bench.command_of(name, quick=True)],
            cwd=bench.FOLDER,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=600,
            check=False,
        )

    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(run, name) for name in NAMES}
        yield lambda name: runs[name].result()


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_measures_its_figures(quick: Run, name: str) -> None:
    done = quick(name)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = bench.figures_of(done.stdout.splitlines()[-1], name)
    assert FIGURES.get(name, set()) <= set(figures)
    assert all(facts["aim"] is None for facts in figures.values())
    values = {figure: facts["value"] for figure, facts in figures.items()}
    assert all(math.isfinite(value) for value in values.values()), values


def test_the_remote_benchmark_measures_every_figure(quick: Run) -> None:
    done = quick("remote")
    assert done.returncode == 0, done.stderr[-3000:]
    figures = bench.figures_of(done.stdout.splitlines()[-1], "remote")
    assert set(figures) == FIGURES["remote"]
    assert all(facts["value"] > 0 for facts in figures.values()), figures
