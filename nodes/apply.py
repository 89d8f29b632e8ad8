"""Apply Mix: embeddings condition a model for any sampler."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..local import engine
from ..local.engine import Embeddings, Target
from ..mixing.weights import Matrix
from .inputs import adapter_input, strength_input
from .methods import method_input, settings_of, valid
from .types import MENU, MixEmbeds, MixWeights


class ImageMixerApply(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageMixerApply",
            display_name="Apply Mix",
            category=f"{MENU}/local",
            description="Conditions a model on a mix, for KSampler or any other sampler. Give the latent a batch of one item per "
            "variant.",
            search_aliases=["apply ipadapter", "apply style model", "unclip conditioning", "condition"],
            inputs=[
                io.Model.Input("model", tooltip="The model to condition. It is left unchanged."),
                io.Conditioning.Input(
                    "positive",
                    optional=True,
                    tooltip="What the conditioning carries besides text (a ControlNet) is kept. image mixer replaces its text; "
                    "the other methods keep and need it. Unconnected: the mix alone.",
                ),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="As positive. Unconnected: nothing to move away from."
                ),
                MixEmbeds.Input("embeddings", tooltip="From Encode Mix or Load Embeds."),
                MixWeights.Input(
                    "weights",
                    optional=True,
                    tooltip="Weights that replace the mix's own, one column per ingredient. Unconnected: the mix's own.",
                ),
                adapter_input(),
                method_input(),
                strength_input(),
            ],
            outputs=[
                io.Model.Output("model", tooltip="For the sampler."),
                io.Conditioning.Output("positive", tooltip="For the sampler."),
                io.Conditioning.Output("negative", tooltip="For the sampler."),
            ],
        )

    @classmethod
    def validate_inputs(cls, model: object = None, method: object = None) -> bool | str:
        return valid(method)

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        embeddings: Embeddings,
        method: dict[str, Any],
        strength: float,
        positive: io.Conditioning.Type | None = None,
        negative: io.Conditioning.Type | None = None,
        weights: Matrix | None = None,
        adapter: object = None,
    ) -> io.NodeOutput:
        target = Target(model, positive, negative, adapter)
        return io.NodeOutput(
            *engine.apply(target, embeddings, method["method"], strength, settings_of(method), weights)
        )
