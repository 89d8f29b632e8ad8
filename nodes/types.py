"""The pack's types of links, and the menu's drawers."""

from __future__ import annotations

from comfy_api.latest import io

MixWeights = io.Custom("MIX_WEIGHTS")
"""mixing.weights.Matrix: rows of plain numbers, [variants, ingredients]."""

ImageMix = io.Custom("IMAGE_MIX")
"""mixing.mix.Mix."""

MixRecipe = io.Custom("MIX_RECIPE")
"""mixing.recipe.Recipe."""

MixEmbeds = io.Custom("MIX_EMBEDS")
"""local.embeddings.Embeddings."""

MixAdapter = io.Custom("MIX_ADAPTER")
"""A loaded adapter of this pack."""

MENU = "image mixer"
