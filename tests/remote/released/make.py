"""Make the fixture of a release: `python make.py FOLDER`, in a checkout of that release with this folder copied into it.

The stand-in answers in place of the real hosts, so that the jobs have the same identities as in users' journals.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import runpy
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
runpy.run_path(str(ROOT / "tests" / "conftest.py"))

from image_mixer.mixing.errors import MixError  # noqa: E402
from image_mixer.network.transport import Call, Reply, RequestsTransport  # noqa: E402
from image_mixer.tests.remote.released import runs  # noqa: E402
from image_mixer.tests.standin.app import Service  # noqa: E402
from image_mixer.tests.standin.state import Fault, Manners  # noqa: E402
from PIL import Image  # noqa: E402

COLOURS = {"a": (200, 40, 40), "b": (30, 60, 210), "c": (40, 180, 60)}


class Redirected:
    """A transport on which the stand-in answers in place of the real hosts."""

    def __init__(self, base: str) -> None:
        self._base = base.encode()
        self._send = RequestsTransport()

    def __call__(self, call: Call) -> Reply:
        host = next(name for name in runs.HOSTS if call.url.startswith(name))
        url = self._base.decode() + call.url.removeprefix(host)
        body = call.body
        for name in runs.HOSTS:
            body = body.replace(name.encode(), self._base) if body else body
        reply = self._send(dataclasses.replace(call, url=url, body=body, addresses=()))
        answer = reply.body.replace(self._base, b"https://modelslab.com")
        return Reply(reply.status, reply.headers, answer)


def main(folder: Path) -> None:
    """Run every order against the stand-in; leave the journal, results, pictures and hashes of the images in `folder`."""
    folder.mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (96, 64), colour).save(folder / f"{name}.png")
    (folder / "endpoints.toml").write_text(runs.SETTINGS, encoding="utf-8")
    given = runs.pictures(folder)
    with Service(manners=Manners(took=[0.05], queue_limit=20), keys=(runs.KEY,)).start() as service:
        state = service.state
        engine = runs.engine(folder, Redirected(service.base))
        made = {
            told.name: [hashlib.sha256(data).hexdigest() for data in engine.run(runs.order(told, given)).images]
            for told in runs.FINISHED
        }
        failed = json.dumps({"status": "failed", "message": "out of memory"})
        state.faults += [Fault("fetch", "answer", 200, failed, times=100), Fault("image", "answer", 404, times=100)]
        queue(engine, runs.UNFINISHED["failed"], given)
        state.faults[:] = [Fault("mix", "reset", taken=True), Fault("list", "answer", 500, times=100)]
        queue(engine, runs.UNFINISHED["unknown"], given)
        state.faults[:] = [Fault("image", "answer", 500, times=100)]
        queue(engine, runs.UNFINISHED["ready"], given)
        state.faults.clear()
        state.manners.took = [1e6]
        queue(engine, runs.UNFINISHED["accepted"], given)
        engine.close()
        assert not state.violations
        service.shutdown()
    (folder / "images.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.rmtree(folder / "owners", ignore_errors=True)


def queue(engine: runs.Engine, told: runs.Told, given: list[runs.Picture]) -> None:
    """Run an order that must end in an error."""
    with contextlib.suppress(MixError):
        engine.run(runs.order(told, given))
        raise AssertionError(f"{told.name} was made")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
