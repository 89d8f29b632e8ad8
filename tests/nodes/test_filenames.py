"""Names of files to save: what is accepted before the graph runs."""

from __future__ import annotations

from pathlib import Path

import folder_paths
import pytest
from image_mixer.nodes.filenames import LONGEST_NAME, valid


@pytest.fixture(autouse=True)
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output folder for the test alone."""
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    return tmp_path


@pytest.mark.parametrize(
    "prefix", [None, "", "mix", "mix/mix", "a/../b", "%date:yyyy-MM-dd%/mix", "\u4e2d\u6587", "a" * LONGEST_NAME]
)
def test_a_name_in_the_folder_is_accepted(prefix: str | None) -> None:
    assert valid(prefix) is True
    assert valid(prefix, "below") is True


@pytest.mark.parametrize(
    ("prefix", "named"),
    [
        ("a\x00b", "cannot be a file name"),
        ("a" * (LONGEST_NAME + 1), "cannot be a file name"),
        ("\u4e2d" * LONGEST_NAME, "cannot be a file name"),
        ("../mix", "leads out of ComfyUI's output folder"),
        ("a/../../mix", "leads out of ComfyUI's output folder"),
        ("/tmp/mix", "leads out of ComfyUI's output folder"),
    ],
)
def test_another_name_is_refused_in_one_line(prefix: str, named: str) -> None:
    answer = valid(prefix)
    assert isinstance(answer, str)
    assert named in answer and len(answer.splitlines()) == 1


def test_a_name_may_leave_its_subfolder_but_not_the_folder() -> None:
    assert valid("../mix", "below") is True
    assert valid("../../mix", "below") is not True


def test_a_link_inside_that_leads_out_is_refused(output: Path) -> None:
    (output / "output").mkdir()
    (output / "output" / "away").symlink_to(output)
    assert "leads out" in str(valid("away/mix"))
