"""What `run --dry-run` finds: faults of a prompt, and the server's count of images and paid jobs."""

from __future__ import annotations

from typing import Any

import pytest
from image_mixer.tests.support.estimated import INFO, TO_WEIGHTS, recipe
from image_mixer.tools.comfy_tool.commands.estimate import Estimate, NodeEstimate, estimate
from image_mixer.tools.comfy_tool.errors import UsageError
from image_mixer.tools.comfy_tool.server.client import Client, Refused, ServerGone
from image_mixer.tools.comfy_tool.workflow.validate import check

ANSWER = {"images": 3, "paid_jobs": 2, "nodes": [{"node": "engine", "images": 2, "paid": True}]}
UNKNOWN = {"images": None, "paid_jobs": None, "nodes": [{"node": "engine", "images": None, "paid": False}]}


class Answering(Client):
    """A client whose server answers a POST with `answer`, or fails with it."""

    def __init__(self, answer: Any) -> None:
        super().__init__("http://127.0.0.1:1")
        object.__setattr__(self, "answer", answer)
        object.__setattr__(self, "asked", [])

    def post(self, path: str, value: object) -> Any:
        self.asked.append((path, value))  # type: ignore[attr-defined]
        answer = self.answer  # type: ignore[attr-defined]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (ANSWER, Estimate((NodeEstimate("engine", "ImageMixerRemote", 2, True),), 3, 2)),
        (UNKNOWN, Estimate((NodeEstimate("engine", "ImageMixerRemote", None, False),), None, None)),
        (Refused("older", 405, ""), None),
        (Refused("too large", 413, {}), None),
        (None, None),
        ([], None),
        ({"images": 1}, None),
        ({**ANSWER, "nodes": [{"node": "elsewhere", "images": 1, "paid": True}]}, None),
    ],
)
def test_the_server_is_asked(answer: Any, found: Estimate | None) -> None:
    prompt = recipe("ImageMixerRemote")
    prompt["engine"]["_meta"] = {"title": ""}
    client = Answering(answer)
    assert estimate(client, prompt) == found
    sent = {name: {key: node[key] for key in ("class_type", "inputs")} for name, node in prompt.items()}
    assert client.asked == [("/image_mixer/estimate", {"prompt": sent})]  # type: ignore[attr-defined]


def test_a_server_that_is_gone_is_an_error() -> None:
    with pytest.raises(ServerGone):
        estimate(Answering(ServerGone("gone")), recipe())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"engine": {"recipe": None}}, "node engine (ImageMixerLocal), input recipe: is required but has neither"),
        (
            {"save": {"images": ["recipe", 0]}},
            "input images: accepts IMAGE, but the output of node recipe (ImageMixerRecipe) is MIX_R",
        ),
        ({"save": {"images": ["engine", 9]}}, "is linked to output 9 of node engine (ImageMixerLocal), which has 3"),
        ({"save": {"images": ["gone", 0]}}, "is linked to node gone, which does not exist"),
        ({"save": {"images": "a.png"}}, "accepts only a link of type IMAGE, not 'a.png'"),
        ({"recipe": {"samples": 0}}, "node recipe (ImageMixerRecipe), input samples: 0 must be at least 1"),
        ({"recipe": {"samples": "many"}}, "'many' is not a number"),
        (
            {"mix": TO_WEIGHTS, "w": {"kind": "ImageMixerSweepWeights", "pattern": "spiral"}},
            "'spiral' is not one of its",
        ),
        ({"mix": {"images.image0": None}}, "input images.image0: is required"),
        ({"spare": {"kind": "Missing"}}, "node spare (Missing): the server has no node class Missing"),
        ({"mix": {"mix": ["mix", 0]}}, "linked in a circle"),
    ],
)
def test_faults(change: dict[str, Any], problem: str) -> None:
    prompt = recipe(**change)
    for node in prompt.values():
        node["inputs"] = {name: value for name, value in node["inputs"].items() if value is not None}
    with pytest.raises(UsageError) as caught:
        check(prompt, INFO)
    assert problem in str(caught.value)


def test_nothing_to_run() -> None:
    with pytest.raises(UsageError, match="no output node"):
        check({"1": {"class_type": "Dice", "inputs": {}}}, INFO)
