"""What every node declares: ids that never change, and tooltips that say what a value means and what switches it off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from comfy_api.latest import io
from image_mixer.nodes import NODES

IDS = [
    "ImageMixerMix",
    "ImageMixerAddImage",
    "ImageMixerAddText",
    "ImageMixerAddURL",
    "ImageMixerWeights",
    "ImageMixerBlendWeights",
    "ImageMixerSweepWeights",
    "ImageMixerSeed",
    "ImageMixerSeedSequence",
    "ImageMixerRecipe",
    "ImageMixerLoadCheckpoint",
    "ImageMixerLoadAdapter",
    "ImageMixerDemoModel",
    "ImageMixerEncode",
    "ImageMixerApply",
    "ImageMixerLocal",
    "ImageMixerRemote",
    "ImageMixerSheet",
    "ImageMixerSave",
    "ImageMixerSaveEmbeds",
    "ImageMixerLoadEmbeds",
    "ImageMixerHandOver",
]
SCHEMAS = [node.GET_SCHEMA() for node in NODES]


def inputs_of(inputs: list[io.Input], owner: str) -> Iterator[tuple[str, io.Input]]:
    """Every input by name, with those of an Autogrow's template and of a DynamicCombo's options."""
    for one in inputs:
        yield f"{owner}.{one.id}", one
        if isinstance(one, io.Autogrow.Input):
            yield from inputs_of([one.template.input], f"{owner}.{one.id}")
        if isinstance(one, io.DynamicCombo.Input):
            for option in one.options:
                yield from inputs_of(option.inputs, f"{owner}.{one.id}.{option.key}")


INPUTS = [pair for schema in SCHEMAS for pair in inputs_of(schema.inputs, schema.node_id)]


def test_the_ids_are_permanent() -> None:
    assert [schema.node_id for schema in SCHEMAS] == IDS


@pytest.mark.parametrize("schema", SCHEMAS, ids=IDS)
def test_every_node_and_output_is_described(schema: io.Schema) -> None:
    assert schema.description.endswith(".")
    assert schema.display_name and schema.category.startswith("image mixer")
    assert len(schema.search_aliases or ["hidden"]) == len(set(schema.search_aliases or ["hidden"]))
    for output in schema.outputs:
        assert output.tooltip and output.tooltip.endswith("."), output.id


@pytest.mark.parametrize(("name", "one"), INPUTS, ids=[name for name, _ in INPUTS])
def test_every_input_has_a_tooltip_of_whole_sentences(name: str, one: io.Input) -> None:
    assert one.tooltip, name
    assert one.tooltip.endswith((".", ").")), one.tooltip
    assert "  " not in one.tooltip and "\n" not in one.tooltip


@pytest.mark.parametrize(
    ("name", "one"),
    [(name, one) for name, one in INPUTS if one.optional and not isinstance(one, io.WidgetInput)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_optional_link_says_what_happens_without_it(name: str, one: io.Input) -> None:
    assert "nconnected" in (one.tooltip or ""), f"{name}: {one.tooltip}"


@pytest.mark.parametrize(
    ("name", "one"),
    [(name, one) for name, one in INPUTS if isinstance(one, io.Float.Input | io.Int.Input) and "seed" not in one.id],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_number_gives_its_range_or_what_a_value_does(name: str, one: io.Float.Input | io.Int.Input) -> None:
    assert any(letter.isdigit() for letter in one.tooltip or ""), f"{name}: {one.tooltip}"
