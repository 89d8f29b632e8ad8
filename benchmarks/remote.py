"""Figures of the remote engine against the stand-in of the service: `python benchmarks/remote.py`.

The last line is one JSON object: figure to value, aim and unit. All traffic stays on this machine. With --quick every
figure is measured at its smallest size: that shows whether the benchmark works, so no figure has an aim.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _remote_memory

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Sizes:
    """How much is measured. `jobs` are generations, in seconds, each polled with every one of `eta_factors`.

    `scheduled` jobs of `scheduled_seconds` run with `in_flight` at once; `pairs` of samplings of `beside_seconds` run
    with and without `beside_jobs`; a finished graph runs `reuses` times; memory takes `variants` x `samples` jobs.
    `servers` ComfyUI servers run at once, and of several each disturbs the others' figures.
    """

    jobs: tuple[float, ...] = (4.0, 5.5, 7.0, 8.5)
    eta_factors: tuple[float, ...] = (0.3, 0.6, 1.0, 1.7, 3.0)
    poll_every: float = 5.0
    in_flight: int = 5
    scheduled: int = 20
    scheduled_seconds: float = 4.0
    upload_seconds: float = 1.0
    beside_seconds: float = 4.0
    beside_jobs: int = 2
    pairs: int = 12
    reuses: int = 5
    variants: int = 20
    samples: int = 10
    servers: int = 1


QUICK = Sizes(
    jobs=(0.2,),
    eta_factors=(1.0,),
    poll_every=0.5,
    in_flight=2,
    scheduled=4,
    scheduled_seconds=0.2,
    upload_seconds=0.1,
    beside_seconds=0.3,
    beside_jobs=1,
    pairs=2,
    reuses=1,
    variants=2,
    samples=1,
    servers=3,
)


def alias() -> None:
    """Makes the pack importable as `image_mixer`, as the tests do."""
    spec = importlib.util.spec_from_file_location("alias", ROOT / "tests" / "conftest.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def side_by_side(works: list[Callable[[], None]]) -> None:
    """Runs all of `works` at once and waits for them."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def overhead(folder: Path, sizes: Sizes) -> tuple[float, float]:
    """(mean seconds beyond the generation, mean calls per job): every length with every error of the eta, once each."""
    from image_mixer.remote.endpoints import Timeouts
    from image_mixer.tests.remote import harness
    from image_mixer.tests.standin.app import Service
    from image_mixer.tests.standin.state import Manners

    over: list[float] = []
    calls: list[int] = []

    def row(number: int, factor: float) -> None:
        manners = Manners(took=list(sizes.jobs), eta_factors=[factor], queue_limit=20)
        with Service(manners=manners).start() as service:
            settings = harness.endpoints(service.base, timeouts=Timeouts())
            engine = harness.engine(service.base, folder / f"overhead{number}", settings)
            for seed, seconds in enumerate(sizes.jobs):
                before, begun = len(service.state.calls), time.monotonic()
                engine.run(harness.order(harness.recipe(seed=seed)))
                over.append(time.monotonic() - begun - seconds)
                calls.append(len(service.state.calls) - before)
            service.shutdown()

    side_by_side([lambda n=n, f=f: row(n, f) for n, f in enumerate(sizes.eta_factors)])  # type: ignore[misc]
    return statistics.fmean(over), statistics.fmean(calls)


def plain_polling(sizes: Sizes) -> float:
    """The same mean of a client that asks every `poll_every` seconds, and does all else as well."""
    from image_mixer.network.transport import Call, RequestsTransport
    from image_mixer.tests.remote import harness
    from image_mixer.tests.standin.app import Service
    from image_mixer.tests.standin.state import Manners

    over: list[float] = []

    def one(seconds: float) -> None:
        transport = RequestsTransport()
        with Service(manners=Manners(took=[seconds])).start() as service:

            def post(path: str, **fields: Any) -> dict[str, Any]:
                body = json.dumps({"key": harness.KEY, **fields}).encode()
                answer: dict[str, Any] = json.loads(transport(Call("POST", f"{service.base}/api/v6{path}", body)).body)
                return answer

            begun = time.monotonic()
            job = post(
                "/image_editing/img_mixer",
                prompt="p",
                init_image=["https://a.example/1.png"],
                width=256,
                height=256,
                samples=1,
            )
            answer = job
            while answer["status"] != "success":
                time.sleep(sizes.poll_every)
                answer = post(f"/image_editing/fetch/{job['id']}")
            transport(Call("GET", answer["output"][0]))
            over.append(time.monotonic() - begun - seconds)
            service.shutdown()

    side_by_side([lambda s=s: one(s) for s in sizes.jobs])  # type: ignore[misc]
    return statistics.fmean(over)


def upload_ratio(folder: Path, sizes: Sizes) -> float:
    """Time to the submit with four pictures, over that with one."""
    from image_mixer.tests.remote import harness
    from image_mixer.tests.standin.app import Service
    from image_mixer.tests.standin.state import Manners

    took = {}
    for count in (1, 4):
        with Service(manners=Manners(took=[0.1], upload_seconds=sizes.upload_seconds)).start() as service:
            engine = harness.engine(service.base, folder / f"upload{count}")
            begun = service.state.clock()
            engine.run(harness.order(harness.recipe(((1.0,) * count,))))
            took[count] = next(at for phase, at in service.state.calls if phase == "mix") - begun
            service.shutdown()
    return took[4] / took[1]


def schedule_ratio(folder: Path, sizes: Sizes) -> float:
    """`scheduled` jobs with `in_flight` allowed at once, over the ideal schedule."""
    from image_mixer.remote.endpoints import Timeouts
    from image_mixer.tests.remote import harness
    from image_mixer.tests.standin.app import Service
    from image_mixer.tests.standin.state import Manners

    with Service(manners=Manners(took=[sizes.scheduled_seconds], queue_limit=sizes.in_flight)).start() as service:
        settings = harness.endpoints(service.base, timeouts=Timeouts(), jobs_in_flight=sizes.in_flight)
        settings = type(settings)(settings.endpoints, max_jobs_per_run=sizes.scheduled)
        engine = harness.engine(service.base, folder / "schedule", settings)
        begun = time.monotonic()
        engine.run(harness.order(harness.recipe(samples=sizes.scheduled)))
        took = time.monotonic() - begun
        assert service.state.count("mix") == sizes.scheduled == len(service.state.paid)
        service.shutdown()
    return took / (sizes.scheduled / sizes.in_flight * sizes.scheduled_seconds)


def beside_local(folder: Path, sizes: Sizes) -> list[float]:
    """Seconds of a local node's sampling beside a remote node whose jobs last as long, over those of it alone: a ratio
    for each of `pairs`, the order turned every time.

    The stand-in is a process of its own, and sampling keeps to one core: on two, the other is for all the rest.
    """
    from image_mixer.tests.support.live import Live, prepared, report_of
    from image_mixer.tests.support.remote_scene import beside_a_sampler
    from image_mixer.tools.comfy_tool.server import standin
    from image_mixer.tools.comfy_tool.server.server import Server

    base = folder / "beside"
    base.mkdir()
    numbers = itertools.count(1)
    with standin.stand_in(Path(sys.executable)) as address:
        standin.write_profiles(prepared(base), {n: f"{address}/api/{wire}" for n, wire in standin.NAMES.items()})
        with Server(base=base, env={**standin.ENVIRONMENT, "OMP_NUM_THREADS": "1"}) as server:
            live = Live(server)

            def sampling(steps: int, beside: bool) -> float:
                number = next(numbers)
                prompt = beside_a_sampler(1000 * number)
                prompt["recipe"]["inputs"]["samples"] = sizes.beside_jobs
                prompt["slow"]["inputs"] |= {"seed": 1000 * number, "steps": steps, "width": 64, "height": 64}
                prompt["told"] = {"class_type": "PreviewAny", "inputs": {"source": ["local", 2]}}
                if not beside:
                    for name in ("remote", "save", "show"):
                        del prompt[name]
                return float(report_of(live.good(prompt), "told")["seconds"]["sample"])

            sampling(20, True)  # loads the models
            steps = min(1000, round(sizes.beside_seconds / sampling(100, False) * 100))
            _remote_memory.control(address, took=[sizes.beside_seconds])
            pairs = []
            for number in range(sizes.pairs):
                order = (False, True) if number % 2 else (True, False)
                took = {beside: sampling(steps, beside) for beside in order}
                pairs.append((took[True], took[False]))
    print(
        f"beside_local: {steps} steps, seconds beside and alone: "
        + ", ".join(f"{beside:.2f} {alone:.2f}" for beside, alone in pairs),
        file=sys.stderr,
    )
    return [beside / alone for beside, alone in pairs]


def reuse(folder: Path, sizes: Sizes) -> float:
    """Seconds of a finished graph run again in a new server that is up, from its queueing to `execution_success`.

    Nothing is sent. What ComfyUI does between prompts, such as its first garbage collection, is not the prompt's.
    """
    from image_mixer.tests.support.remote_scene import remote_graph, scene

    took = []
    with scene(folder / "reuse") as live:
        prompt = remote_graph(recipe={"samples": 2})
        live.good(prompt)
        for _ in range(sizes.reuses):
            live.server.restart()
            before, begun = live.calls, time.time()
            messages = live.run(prompt)["status"]["messages"]
            done = next(body["timestamp"] for kind, body in messages if kind == "execution_success")
            took.append(done / 1000 - begun)
            assert live.calls == before
    return statistics.median(took)


def measured(folder: Path, sizes: Sizes) -> list[tuple[str, float, str | None, str]]:
    """(name, value, aim, unit) of every figure."""
    ours, calls = overhead(folder, sizes)
    theirs = plain_polling(sizes)
    upload, schedule = upload_ratio(folder, sizes), schedule_ratio(folder, sizes)
    with ThreadPoolExecutor(sizes.servers) as pool:
        ratios, again = pool.submit(beside_local, folder, sizes), pool.submit(reuse, folder, sizes)
        peak = pool.submit(_remote_memory.peak_per_picture, folder / "memory", sizes.variants, sizes.samples)
    low, middle, high = statistics.quantiles(ratios.result(), n=4)
    return [
        ("overhead_s", ours, "<= 0.4", "s"),
        ("calls_per_job", calls, "<= 20", "calls"),
        ("poll_advantage", theirs / ours, ">= 5", "times"),
        ("upload4_ratio", upload, "<= 1.5", "times"),
        ("schedule_ratio", schedule, "<= 1.1", "times"),
        ("beside_local_ratio", middle, "<= 1.05", "times"),
        ("beside_local_quartile1", low, None, "times"),
        ("beside_local_quartile3", high, None, "times"),
        ("reuse_s", again.result(), "<= 0.5", "s"),
        ("peak_mb_per_picture", peak.result(), "<= 4.72", "MB"),
    ]


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description="Measure the remote engine against the stand-in of the service.")
    parser.add_argument("--quick", action="store_true", help="every figure at its smallest size, without aims")
    quick = parser.parse_args().quick
    alias()
    with tempfile.TemporaryDirectory() as name:
        figures = measured(Path(name), QUICK if quick else Sizes())
    print(
        json.dumps(
            {
                name: {"value": round(value, 3), "aim": None if quick else aim, "unit": unit}
                for name, value, aim, unit in figures
            }
        )
    )


if __name__ == "__main__":
    sys.exit(main())
