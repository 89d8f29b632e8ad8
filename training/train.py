"""Train the demo model from scratch, measure it, and write it with its card: `python training/train.py`.

Needs ComfyUI's source (`--comfyui` or COMFYUI_PATH) and its requirements. Takes about two hours on two free processor
cores. The stages continue from where they were stopped.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
"""One thread per process, and memory kept instead of freed after each layer: twice as fast with glibc."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=os.environ.get("COMFYUI_PATH"), help="ComfyUI's folder")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "demo_training", help="folder for checkpoints")
    parser.add_argument("--processes", type=int, default=2, help="processes that share the denoiser's batch")
    parser.add_argument(
        "--minutes", type=float, default=40.0, help="how long a stage runs before it saves and starts again"
    )
    parser.add_argument("--stage", help="run only this stage (for the processes that the command starts)")
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--finish", action="store_true", help="only measure and write what was trained")
    options = parser.parse_args()
    if not options.comfyui:
        parser.error("name the folder of ComfyUI: --comfyui FOLDER or COMFYUI_PATH")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    _prepare(Path(options.comfyui))
    from image_mixer.training import finish, stages

    options.work.mkdir(parents=True, exist_ok=True)
    if options.stage:
        return 0 if _run_stage(options) else 75
    for name in [] if options.finish else stages.STAGES:
        team = options.processes if name in stages.SHARED else 1
        while _start(options, name, team) == 75:
            logging.info("stage %s continues", name)
    finish.finish(options.work, ROOT)
    return 0


def _prepare(comfyui: Path) -> None:
    """Make ComfyUI importable, and this pack under the name that its tests use."""
    # tools/ has a comfy.py, which would hide ComfyUI's package of that name.
    sys.path[:] = [str(comfyui), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "tools")]
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = True
    comfy.cli_args.args.use_pytorch_cross_attention = True
    torch.set_num_threads(1)
    if "image_mixer" not in sys.modules:
        alias = types.ModuleType("image_mixer")
        alias.__path__ = [str(ROOT)]
        sys.modules["image_mixer"] = alias


def _run_stage(options: argparse.Namespace) -> bool:
    from image_mixer.training import stages
    from image_mixer.training.loop import Team
    from torch import distributed

    size = options.processes if options.stage in stages.SHARED else 1
    if size > 1:
        meeting = (options.work / "meeting").resolve().as_uri()
        distributed.init_process_group("gloo", init_method=meeting, rank=options.rank, world_size=size)
    shop = stages.Shop(options.work, Team(options.rank, size), options.minutes)
    if shop.done(options.stage).exists():
        return True
    finished: bool = stages.STAGES[options.stage](shop)
    return finished


def _start(options: argparse.Namespace, stage: str, team: int) -> int:
    """Run one stage in new processes. Return the exit code of the first: 75 means that the stage is not done yet."""
    (options.work / "meeting").unlink(missing_ok=True)
    command = [
        sys.executable, str(Path(__file__).resolve()), "--stage", stage, "--comfyui", str(options.comfyui),
        "--work", str(options.work), "--processes", str(team), "--minutes", str(options.minutes),
    ]  # fmt: skip
    environment = {**os.environ, **ENVIRONMENT}
    running = [subprocess.Popen([*command, "--rank", str(rank)], env=environment) for rank in range(team)]
    codes = [process.wait() for process in running]
    if codes[0] not in (0, 75):
        raise SystemExit(f"Stage {stage} failed with exit code {codes[0]}.")
    return codes[0]


if __name__ == "__main__":
    raise SystemExit(main())
