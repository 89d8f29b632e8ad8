"""What comes last: contact sheets, and pictures saved with their report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io, ui

from ..mixing import images as pictures
from ..mixing import report as reports
from ..mixing.sheet import LAYOUTS, Box, sheet_with_cells
from . import filenames
from .types import MENU

_DRAWER = f"{MENU}/output"
REPORT_KEY = "image_mixer_report"


class ImageMixerSheet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSheet",
            display_name="Contact Sheet",
            category=_DRAWER,
            description="All images on one sheet, each with its caption.",
            search_aliases=["grid", "montage", "compare", "xy plot"],
            is_output_node=True,
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="The pictures: batches and lists of any sizes."),
                io.String.Input(
                    "captions",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="A line a picture. Empty: those of the report.",
                ),
                io.String.Input(
                    "report",
                    optional=True,
                    force_input=True,
                    tooltip="An engine's report: captions of weights and seeds. Unconnected: the captions above.",
                ),
                io.Int.Input(
                    "columns",
                    default=0,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="Pictures a row. 0 chooses: the samples of a variant where there are several, else by their number.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default=LAYOUTS[0],
                    optional=True,
                    tooltip="rows, or triangle for the simplex sweep of three pictures: each alone in a corner, the mixtures "
                    "between.",
                ),
                io.Image.Input(
                    "beside",
                    optional=True,
                    tooltip="Another engine's pictures of the same recipe, in rows of their own. Unconnected: none.",
                ),
                io.String.Input(
                    "beside_report",
                    optional=True,
                    force_input=True,
                    tooltip="The report of those; captions then name engine and time too. Unconnected: none.",
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="One picture of all.")],
        )

    @classmethod
    def execute(
        cls,
        images: list[io.Image.Type],
        captions: list[str] | None = None,
        report: list[str] | None = None,
        columns: list[int] | None = None,
        layout: list[str] | None = None,
        beside: list[io.Image.Type] | None = None,
        beside_report: list[str] | None = None,
    ) -> io.NodeOutput:
        pixels, others = ([one for batch in batches or [] for one in batch] for batches in (images, beside))
        texts = [*(report or []), *(beside_report or [])]
        lines = reports.lines((captions or [""])[0], texts, compared=bool(beside_report))
        across = (columns or [0])[0] or reports.columns(texts, len(pixels), len(others))
        sheet, cells = sheet_with_cells([*pixels, *others], lines, across, layout=(layout or LAYOUTS)[0])
        made = [image for text in texts for image in reports.images(text)]
        return io.NodeOutput(sheet, ui={"image_mixer_sheet": [_shown(sheet, cells, made)]})


class ImageMixerSave(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSave",
            display_name="Save Mix",
            category=_DRAWER,
            description="Saves PNGs with the report beside ComfyUI's own metadata; drop one on the canvas to get the graph back.",
            search_aliases=["save image", "export", "png"],
            is_output_node=True,
            is_input_list=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                io.Image.Input("images", tooltip="The pictures to save."),
                io.String.Input(
                    "filename_prefix",
                    default="mix/mix",
                    tooltip="Folder and beginning of the names in ComfyUI's output folder; %date:yyyy-MM-dd% and the "
                    "like work as in Save Image.",
                ),
                io.String.Input(
                    "report",
                    optional=True,
                    force_input=True,
                    tooltip="An engine's report, saved in each PNG; of a list of reports each goes with its pictures, or all "
                    "of them with the one sheet. Unconnected: none.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: list[str | None] | None = None) -> bool | str:
        return filenames.valid((filename_prefix or [None])[0])

    @classmethod
    def execute(
        cls, images: list[io.Image.Type], filename_prefix: list[str], report: list[str] | None = None
    ) -> io.NodeOutput:
        texts = report or []
        marks = reports.missing(texts, [len(batch) for batch in images])
        saved = [
            result
            for batch, text, missing in zip(images, reports.by_batch(texts, len(images)), marks, strict=True)
            for result in _saved(batch, filename_prefix[0], _metadata(cls.hidden, text), missing)
        ]
        return io.NodeOutput(ui={**ui.SavedImages(saved).as_dict(), **({REPORT_KEY: report} if report else {})})


def _shown(sheet: io.Image.Type, cells: list[Box], made: list[reports.MadeImage]) -> dict[str, Any]:
    """What the page shows of a sheet: the picture, where each cell is, and the weights and seed that made it."""
    data = pictures.encode_png(sheet[0], {})
    folder = Path(folder_paths.get_temp_directory())
    file = folder / f"image_mixer_sheet_{hashlib.sha256(data).hexdigest()[:16]}.png"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    known = made if len(made) == len(cells) else [None] * len(cells)
    return {
        **ui.SavedResult(file.name, "", io.FolderType.temp),
        "size": [sheet.shape[2], sheet.shape[1]],
        "cells": [
            {"box": box, "weights": one and one.weights, "seed": one and one.seed}
            for box, one in zip(cells, known, strict=True)
        ],
    }


def _saved(batch: io.Image.Type, beginning: str, metadata: dict[str, str], missing: list[bool]) -> list[ui.SavedResult]:
    """The PNGs of a batch, numbered on from those that are there.

    "_missing" at the end of a placeholder's name stands after the number, which ComfyUI reads up to the next "_".
    """
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        beginning, folder_paths.get_output_directory(), batch.shape[2], batch.shape[1]
    )
    saved = []
    for index, (image, placeholder) in enumerate(zip(batch, missing, strict=True)):
        end = "missing" if placeholder else ""
        file = f"{name.replace('%batch_num%', str(index))}_{counter + index:05}_{end}.png"
        (Path(folder) / file).write_bytes(pictures.encode_png(image, metadata))
        saved.append(ui.SavedResult(file, subfolder, io.FolderType.output))
    return saved


def _metadata(hidden: io.HiddenHolder, report: str | None) -> dict[str, str]:
    """The texts of a PNG, ComfyUI's own under its own names; none where the server was told to write none."""
    if args.disable_metadata:
        return {}
    texts = {"prompt": json.dumps(hidden.prompt)} if hidden.prompt is not None else {}
    texts.update({key: json.dumps(value) for key, value in (hidden.extra_pnginfo or {}).items()})
    return texts | ({REPORT_KEY: report} if report else {})
