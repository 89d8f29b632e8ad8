"""The pack's types of links, and its menu."""

from __future__ import annotations

from comfy_api.latest import io

MixWeights = io.Custom("MIX_WEIGHTS")
"""mixing.weights.Matrix: rows of plain numbers, [variants, ingredients]."""

ImageMix = io.Custom("IMAGE_MIX")
"""mixing.mix.Mix: ingredients and their weights."""

MixRecipe = io.Custom("MIX_RECIPE")
"""mixing.recipe.Recipe: a mix and the other settings of a generation."""

MixEmbeds = io.Custom("MIX_EMBEDS")
"""The local engine's Embeddings: a mix with the vectors of its ingredients."""

MixAdapter = io.Custom("MIX_ADAPTER")
"""A loaded adapter of this pack, such as an IP-Adapter."""

MENU = "image mixer"
"""The pack's drawer in ComfyUI's menu of nodes."""
