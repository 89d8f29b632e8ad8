"""A few paid calls to the real service, to settle what its documents leave open: `comfy.py test --live` runs this.

`python real.py FOLDER`, with the key in MODELSLAB_API_KEY. Journal and images stay in FOLDER, so a second run does not
pay for them again. The last line is one JSON object of findings, each "yes", "no" or "not seen".
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
runpy.run_path(str(ROOT / "tests" / "conftest.py"))

from image_mixer.mixing.errors import EngineError, MixError  # noqa: E402
from image_mixer.mixing.mix import Ingredient, Mix  # noqa: E402
from image_mixer.mixing.recipe import Recipe  # noqa: E402
from image_mixer.network.transport import RequestsTransport, Transport  # noqa: E402
from image_mixer.remote.credentials import Credentials  # noqa: E402
from image_mixer.remote.endpoints import MODELSLAB, STABLE_DIFFUSION_API, Settings, built_in_settings  # noqa: E402
from image_mixer.remote.engine import Engine, Order  # noqa: E402
from image_mixer.remote.errors import JOB_FAILED, NotDelivered  # noqa: E402
from image_mixer.remote.pictures import Pictures  # noqa: E402
from image_mixer.remote.run.stored_pictures import first_delivery  # noqa: E402
from image_mixer.remote.store.journal import Journal  # noqa: E402
from image_mixer.remote.store.results import Results  # noqa: E402
from image_mixer.tests.standin import findings  # noqa: E402
from image_mixer.tests.standin.findings import LARGE, Finding, Made, said  # noqa: E402
from image_mixer.tests.standin.watched import FULL_PAGE, Account, Page, Watch  # noqa: E402
from image_mixer.tests.support.pictures import check, of_file, size_of  # noqa: E402
from image_mixer.tools.comfy_tool.commands.live import JOBS, KEY  # noqa: E402

V6, V5, MARKED = MODELSLAB.name, STABLE_DIFFUSION_API.name, f"{MODELSLAB.name}, marked"
RUN = "live"
PATIENCE = 60.0
"""How many seconds a finished job is looked for in the account's list."""


@dataclass(frozen=True)
class Asked:
    """One paid job."""

    endpoint: str = V6
    weights: tuple[float, float] = (1.0, 0.2)
    seed: int = 12345
    take: int = 0


ASKED = {
    "first": Asked(),
    "second": Asked(weights=(0.2, 1.0)),
    "older": Asked(V5),
    "again": Asked(take=1),
    "2**53 - 1": Asked(seed=LARGE["2**53 - 1"]),
    "2**62 + 1": Asked(seed=LARGE["2**62 + 1"]),
    "marked": Asked(MARKED, seed=54321),
}


@dataclass
class Session:
    """What became of the jobs of one run.

    `refused` are those that the service did not accept, `failed` all without an image. `listed_after` is after how many
    seconds the first new job was in the list.
    """

    made: dict[str, Made] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    looked: bool = False
    listed_after: float | None = None


def main(
    folder: Path,
    settings: Settings | None = None,
    transport: Transport | None = None,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Run every job, print what each shows, and keep the images next to the journal. Return 1 if a job gave no image."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = _with_limits(settings or built_in_settings())
    v6 = settings.endpoint(V6)
    credentials = Credentials(folder / "no-keys.json", os.environ)
    key = credentials.key(v6.credential)
    assert key is not None, f"{KEY} must be set"
    watch = Watch(transport or RequestsTransport(), v6.url(v6.format.mix_path))
    account = Account(v6, key, watch)
    before, queued = account.page(per_page=FULL_PAGE, page=1), account.queue()
    journal = Journal(folder / "journal.sqlite", time.time)
    engine = Engine(
        settings,
        credentials,
        journal,
        Results(folder / "results", settings.results_bytes),
        watch,
        Pictures(lambda given, most, side: (given.pixels, "image/jpeg"), size_of, check),
        clock=clock,
        sleep=sleep,
    )
    session = Session()
    for name, asked in ASKED.items():
        _ask(engine, journal, folder, name, asked, session)
        job = session.made[name].row.remote_id if name in session.made else None
        if job is not None and job in watch.submits and not session.looked:
            session.looked = True
            session.listed_after = account.seconds_until_listed(job, patience, clock, sleep)
            _tell_listed(session.listed_after)
    engine.close()
    answered = [job for job in watch.submits if job is not None]
    if None in watch.submits and answered:
        account.seconds_until_listed(answered[-1], patience, clock, sleep)
    after = account.page(per_page=FULL_PAGE, page=1)
    found: dict[str, Finding] = findings.of_jobs(session.made, session.refused)
    found |= _of_list(account, after)
    found[f"a finished job is in the list within {PATIENCE:g} s"] = said(
        session.listed_after is not None if session.looked else None
    )
    found["a submit without a clear answer is paid for"] = findings.paid_without_answer(watch.submits, before, after)
    _tell_counts(watch, before, after, queued, account.queue())
    print(json.dumps(found), flush=True)
    return int(bool(session.failed))


def _with_limits(settings: Settings) -> Settings:
    """Return the settings with a profile that marks uploads, and one cap for all runs in the same folder."""
    marked = replace(settings.endpoint(V6), name=MARKED, mark_uploads=True)
    return replace(settings, endpoints={**settings.endpoints, MARKED: marked}, max_jobs_per_run=JOBS)


def _ask(engine: Engine, journal: Journal, folder: Path, name: str, asked: Asked, session: Session) -> None:
    photographs = [of_file((ROOT / "tools" / "assets" / file).read_bytes()) for file in ("cat.jpg", "coffee.jpg")]
    mix = Mix(tuple(Ingredient("image", given) for given in photographs), (asked.weights,))
    recipe = Recipe(mix, prompt="a cat in a cup of coffee", width=512, height=512, steps=20, seed=asked.seed)
    order = Order(recipe, asked.endpoint, asked.take, run=RUN)
    try:
        outcome = engine.run(order, lambda progress: print(f"  {progress.text}", flush=True))
    except MixError as error:
        session.failed.append(name)
        if isinstance(error, EngineError) and error.cause == JOB_FAILED and not isinstance(error, NotDelivered):
            session.refused.append(name)
        print(f"{name}: {error}", flush=True)
        return
    (image,) = outcome.images
    (told,) = outcome.report.details["jobs"]
    row = first_delivery(journal.attempts(told["identity"]))
    assert image is not None and row is not None, "a run that does not raise has delivered"
    file = folder / f"{name}.image"
    file.write_bytes(image)
    session.made[name] = Made(row, image)
    print(f"{name}: {file}, job {row.remote_id}, {json.dumps({'sent': row.fields, 'meta': row.meta})}", flush=True)


def _of_list(account: Account, whole: Page | None) -> dict[str, Finding]:
    default, two, next_two = account.page(), account.page(per_page=2, page=1), account.page(per_page=2, page=2)
    for name, page in (
        ("no page", default),
        ("per_page 2, page 1", two),
        ("per_page 2, page 2", next_two),
        (f"per_page {FULL_PAGE}", whole),
    ):
        told = "no answer" if page is None else f"{len(page.ids)} rows, {json.dumps(page.paging)[:300]}"
        print(f"The account's list, asked for {name}: {told}", flush=True)
    return findings.of_list(default, two, next_two, whole)


def _tell_listed(seconds: float | None) -> None:
    when = (
        "was not in the account's list in time"
        if seconds is None
        else f"was in the account's list after {seconds:.0f} s"
    )
    print(f"A finished job {when}.", flush=True)


def _tell_counts(watch: Watch, before: Page | None, after: Page | None, queued: int | None, queues: int | None) -> None:
    """Print the account before and after, if a call got no clear answer."""
    if not watch.unclear:
        return
    print(f"Calls without a clear answer: {'; '.join(watch.unclear[:20])}")
    answered = len({job for job in watch.submits if job is not None})
    totals = [None if page is None else page.paging.get("total") for page in (before, after)]
    print(
        f"The account's list has {totals[1]} jobs, and had {totals[0]} before; {answered} different ids came in answers to "
        f"submits. Its queue has {queues} jobs, and had {queued} before. Other jobs of this account count too."
    )


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except MixError as problem:
        sys.exit(f"error: {problem}")
