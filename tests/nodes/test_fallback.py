"""The fallback: what an engine node expands into, and what the hand-over passes on."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from image_mixer.mixing.errors import EngineError
from image_mixer.mixing.report import MadeImage, Report, to_json
from image_mixer.nodes import fallback
from image_mixer.nodes.fallback import ImageMixerHandOver, hand_over, run_again, unfinished_runs

ERROR = EngineError("No memory is left: make the images smaller.", "out of memory")


def hidden(node_id: str, other: str) -> Any:
    """The hidden inputs of node `node_id`, with node "other" of class `other` beside it."""
    nodes = {
        node_id: {"class_type": "ImageMixerLocal", "inputs": {"vae": ["loader", 2]}},
        "other": {"class_type": other, "inputs": {}},
    }
    return SimpleNamespace(unique_id=node_id, dynprompt=SimpleNamespace(get_node=nodes.__getitem__))


@pytest.mark.parametrize(("vae_input", "outputs"), [("vae", [0, 1, 2]), (None, [0, 2])])
@pytest.mark.parametrize(
    ("other", "report"),
    [("ImageMixerLocal", 2), ("ImageMixerRemote", 1), ("ImageMixerHandOver", 2), ("LoadImage", None)],
)
def test_a_node_expands_into_the_hidden_one(
    vae_input: str | None, outputs: list[int], other: str, report: int | None
) -> None:
    made = hand_over(["other", 0], "local", ERROR, hidden("a", other), vae_input)
    assert made.expand is not None
    ((name, node),) = made.expand.items()
    assert list(made.args) == [[name, index] for index in outputs]
    assert node["class_type"] == "ImageMixerHandOver"
    expected = {"image": ["other", 0], "engine": "local", "reason": f"out of memory: {ERROR}", "item": 0}
    expected |= {"vae": ["loader", 2]} if vae_input else {}
    expected |= {"other_report": ["other", report]} if report is not None else {}
    assert node["inputs"] == expected


def test_a_hand_over_makes_the_next_queue_try_again() -> None:
    before = unfinished_runs("counted"), unfinished_runs("another")
    hand_over(["other", 0], "local", ERROR, hidden("counted", "LoadImage"), None)
    run_again("counted")
    assert (unfinished_runs("counted"), unfinished_runs("another")) == (before[0] + 2, before[1])


class HalfVae:
    """A VAE whose latent is half of the colours."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Half of the pixels, which must have three channels."""
        assert pixels.shape[-1] == 3
        return pixels / 2


def test_the_hidden_node_passes_on_image_latent_and_report() -> None:
    images = [torch.full((1, 2, 2, 4), float(k)) for k in range(2)]
    reports = [to_json(Report("remote", "", (MadeImage(0, 0, seed, (1.0,)),))) for seed in (3, 4)]
    made = ImageMixerHandOver.execute(images, ["local"], ["why"], [HalfVae()], reports, [1])
    image, latent, report = made.args
    assert image is images[1]
    assert latent["samples"].equal(images[1][..., :3] / 2)
    fields = json.loads(report)
    assert (fields["engine"], fields["handed_over"], fields["other"]["images"][0]["seed"]) == ("local", "why", 4)


def test_the_hidden_node_needs_neither_vae_nor_report_and_takes_the_last_of_a_short_list() -> None:
    image, latent, report = ImageMixerHandOver.execute([torch.zeros(1, 2, 2, 3)], ["remote"], ["why"], item=[5]).args
    assert image.shape == (1, 2, 2, 3) and latent is None
    assert json.loads(report)["other"] is None


def test_the_item_is_the_first_outside_of_a_running_graph() -> None:
    assert fallback._item() == 0
