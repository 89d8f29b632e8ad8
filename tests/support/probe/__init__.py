"""A node pack for test servers only: it lets stock loaders take micro checkpoints, and counts calls of encoders and samplers."""

from __future__ import annotations

import sys
from json import loads
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import comfy.clip_vision
import comfy.samplers
import edit_models
import micro
import micro_redux
import micro_unclip
from aiohttp import web
from comfy_api.latest import io

from server import PromptServer

micro.register()
micro.register_towers()
edit_models.register()
micro_unclip.register()
micro_redux.register()

COUNTS = {"vision": 0, "text": 0, "sampled": 0, "loaded": 0}
_MODELS: dict[int, micro.MicroModels] = {}


def _counted(owner: Any, name: str, key: str) -> None:
    original = getattr(owner, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        COUNTS[key] += 1
        return original(*args, **kwargs)

    setattr(owner, name, counting)


_counted(comfy.clip_vision.ClipVisionModel, "encode_image", "vision")
_counted(comfy.samplers.CFGGuider, "sample", "sampled")


@PromptServer.instance.routes.get("/probe/counts")
async def counts(_request: web.Request) -> web.Response:
    return web.json_response(COUNTS)


class ProbeMicroModels(io.ComfyNode):
    """Random micro models of ComfyUI's own classes; `seed` -1 raises an error as if the file were missing."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeMicroModels",
            category="probe",
            inputs=[io.Int.Input("seed", default=0, min=-1, max=9), io.Boolean.Input("tagged", default=True)],
            outputs=[
                io.Model.Output("model"),
                io.Clip.Output("clip"),
                io.Vae.Output("vae"),
                io.ClipVision.Output("clip_vision"),
            ],
        )

    @classmethod
    def execute(cls, seed: int, tagged: bool) -> io.NodeOutput:
        COUNTS["loaded"] += 1
        if seed < 0:
            raise FileNotFoundError("the probe was asked for a model that is not there")
        made = _MODELS.get(seed) or micro.build(seed, tagged=True)
        _MODELS[seed] = made
        model = made.model.clone()
        model.attachments = dict(model.attachments) if tagged else {}
        return io.NodeOutput(model, made.clip, made.vae, made.clip_vision)


class ProbeMix(io.ComfyNode):
    """Show a mix's weights, one row per line."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeMix", category="probe", is_output_node=True, inputs=[io.Custom("IMAGE_MIX").Input("mix")]
        )

    @classmethod
    def execute(cls, mix: Any) -> io.NodeOutput:
        return io.NodeOutput(ui={"text": [", ".join(f"{weight:g}" for weight in row) for row in mix.weights]})


class ProbeOutOfMemory(io.ComfyNode):
    """A model whose sampling fails as if the GPU were out of memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeOutOfMemory",
            category="probe",
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output("model")],
        )

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        import torch

        model = model.clone()

        def full(*_args: Any, **_kwargs: Any) -> Any:
            raise torch.cuda.OutOfMemoryError("probe: out of memory")

        model.set_model_unet_function_wrapper(full)
        return io.NodeOutput(model)


class ProbeAnything(io.ComfyNode):
    """Any JSON value as an output that fits every input, as wildcards of other packs do."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ProbeAnything",
            category="probe",
            inputs=[io.String.Input("json")],
            outputs=[io.AnyType.Output("anything")],
        )

    @classmethod
    def execute(cls, json: str) -> io.NodeOutput:
        return io.NodeOutput(loads(json))


NODE_CLASS_MAPPINGS = {c.GET_SCHEMA().node_id: c for c in (ProbeMicroModels, ProbeMix, ProbeOutOfMemory, ProbeAnything)}
