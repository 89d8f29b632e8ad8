"""Output nodes: contact sheets, and images saved with their report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io, ui

from ..mixing.images import encode_png
from ..mixing.report import MadeImage, placeholders, reports_by_batch
from ..mixing.report_sheet import Run, report_sheet
from ..mixing.sheet import LAYOUTS, Layout, Sheet
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
            description="Draws all images on one sheet, each with its caption.",
            search_aliases=["grid", "montage", "compare", "xy plot"],
            is_output_node=True,
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="The images: batches and lists of any sizes."),
                io.String.Input(
                    "captions",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="One line per image. Empty: captions from the report.",
                ),
                _report_input(
                    "report", "An engine's report, for captions with weights and seeds. Unconnected: no report."
                ),
                io.Int.Input(
                    "columns",
                    default=0,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="Images per row, up to 100. 0 chooses: the samples of one variant if there are several, "
                    "otherwise by the number of images.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default=LAYOUTS[0],
                    optional=True,
                    tooltip="rows: images in rows. triangle: for the simplex sweep of three images, each alone in a corner "
                    "and the mixtures between them.",
                ),
                *_beside_inputs(),
            ],
            outputs=[io.Image.Output("image", tooltip="The sheet.")],
        )

    @classmethod
    def execute(
        cls,
        images: list[io.Image.Type],
        captions: list[str] | None = None,
        report: list[str] | None = None,
        columns: list[int] | None = None,
        layout: list[Layout] | None = None,
        beside: list[io.Image.Type] | None = None,
        beside_report: list[str] | None = None,
    ) -> io.NodeOutput:
        sheet, made = report_sheet(
            _run(images, report),
            _run(beside, beside_report),
            (captions or [""])[0],
            (columns or [0])[0],
            (layout or LAYOUTS)[0],
        )
        return io.NodeOutput(sheet.image, ui={"image_mixer_sheet": [_shown(sheet, made)]})


class ImageMixerSave(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerSave",
            display_name="Save Mix",
            category=_DRAWER,
            description="Saves PNG files that hold the report as well as ComfyUI's own metadata. Drop one on the canvas to get "
            "the workflow back.",
            search_aliases=["save image", "export", "png"],
            is_output_node=True,
            is_input_list=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            inputs=[
                io.Image.Input("images", tooltip="The images to save."),
                io.String.Input(
                    "filename_prefix",
                    default="mix/mix",
                    tooltip="Folder and first part of the file names in ComfyUI's output folder. Patterns such as "
                    "%date:yyyy-MM-dd% work as in Save Image.",
                ),
                _report_input(
                    "report",
                    "An engine's report, saved in each PNG. From a list of reports, each goes with its own images, or all of "
                    "them with a single sheet. Unconnected: no report is saved.",
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
        reports = report or []
        marks = placeholders(reports, [len(batch) for batch in images])
        saved = [
            result
            for batch, text, missing in zip(images, reports_by_batch(reports, len(images)), marks, strict=True)
            for result in _saved(batch, filename_prefix[0], _metadata(cls.hidden, text), missing)
        ]
        return io.NodeOutput(ui={**ui.SavedImages(saved).as_dict(), **({REPORT_KEY: report} if report else {})})


def _report_input(name: str, tooltip: str) -> io.String.Input:
    return io.String.Input(name, optional=True, force_input=True, tooltip=tooltip)


def _beside_inputs() -> list[io.Input]:
    return [
        io.Image.Input(
            "beside",
            optional=True,
            tooltip="Another engine's images of the same recipe, shown in separate rows. Unconnected: no other images.",
        ),
        _report_input(
            "beside_report",
            "The report on the images of beside. Captions then also name the engine and its time. Unconnected: no report.",
        ),
    ]


def _run(batches: list[io.Image.Type] | None, reports: list[str] | None) -> Run:
    return Run([image for batch in batches or [] for image in batch], reports or [])


def _shown(sheet: Sheet, made: list[MadeImage | None]) -> dict[str, Any]:
    """Save the sheet as a temporary file and describe it for the page: each cell with its weights and seed."""
    data = encode_png(sheet.image[0], {})
    folder = Path(folder_paths.get_temp_directory())
    file = folder / f"image_mixer_sheet_{hashlib.sha256(data).hexdigest()[:16]}.png"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return {
        **ui.SavedResult(file.name, "", io.FolderType.temp),
        "size": [sheet.image.shape[2], sheet.image.shape[1]],
        "cells": [
            {"box": box, "weights": image and image.weights, "seed": image and image.seed}
            for box, image in zip(sheet.cells, made, strict=True)
        ],
    }


def _saved(batch: io.Image.Type, prefix: str, metadata: dict[str, str], missing: list[bool]) -> list[ui.SavedResult]:
    """Save a batch as PNG files, numbered after those that exist.

    The name of a placeholder ends in "_missing", after the number: ComfyUI reads the number up to the next "_".
    """
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), batch.shape[2], batch.shape[1]
    )
    saved = []
    for index, (image, placeholder) in enumerate(zip(batch, missing, strict=True)):
        end = "missing" if placeholder else ""
        file = f"{name.replace('%batch_num%', str(index))}_{counter + index:05}_{end}.png"
        (Path(folder) / file).write_bytes(encode_png(image, metadata))
        saved.append(ui.SavedResult(file, subfolder, io.FolderType.output))
    return saved


def _metadata(hidden: io.HiddenHolder, report: str | None) -> dict[str, str]:
    """Return the texts of a PNG by keyword: ComfyUI's own and the report; empty if the server writes no metadata."""
    if args.disable_metadata:
        return {}
    texts = {"prompt": json.dumps(hidden.prompt)} if hidden.prompt is not None else {}
    texts.update({key: json.dumps(value) for key, value in (hidden.extra_pnginfo or {}).items()})
    return texts | ({REPORT_KEY: report} if report else {})
