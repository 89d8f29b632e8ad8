"""Loading an Image Mixer checkpoint: the denoiser, the VAE, and the vision tower in the same file."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.clip_vision
import comfy.sd
import comfy.utils

from ..mixing.errors import InputError
from .methods import image_mixer

if TYPE_CHECKING:
    from comfy.clip_vision import ClipVisionModel
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import VAE
    from torch import Tensor

VISUAL_PREFIX = "cond_stage_model.model.visual."
DENOISER_KEY = "model.diffusion_model.input_blocks.0.0.weight"


def load_image_mixer(path: str) -> tuple[ModelPatcher, VAE, ClipVisionModel]:
    """Return (model, vae, clip_vision) of the checkpoint at `path`; the model is tagged for the method image mixer.

    ComfyUI's own checkpoint loader reads such a file too, but returns a text tower of uninitialised numbers and does not
    load the vision tower. Raise InputError if the file is not a checkpoint or does not contain a vision tower.
    """
    name = Path(path).name
    try:
        state, metadata = comfy.utils.load_torch_file(path, safe_load=True, return_metadata=True)
    except Exception as error:
        raise InputError(
            f"{name} cannot be read as a checkpoint ({type(error).__name__}): download it again."
        ) from error
    if not isinstance(state, dict) or DENOISER_KEY not in state:
        raise InputError(f"{name} is not a Stable Diffusion checkpoint: choose Lambda's Image Mixer checkpoint.")
    visual = {key: state.pop(key) for key in list(state) if key.startswith(VISUAL_PREFIX)}
    if not visual:
        raise InputError(
            f"{name} does not contain a vision tower, so it is not an Image Mixer checkpoint: use Load Checkpoint instead."
        )
    clip_vision = _vision_tower(visual, name)
    # Removed, so that ComfyUI does not take the rest of the tower for a text tower.
    for key in [key for key in state if key.startswith("cond_stage_model.")]:
        del state[key]
    try:
        loaded = comfy.sd.load_state_dict_guess_config(state, output_clip=False, metadata=metadata)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{name} is broken, or of a kind that this ComfyUI does not support ({type(error).__name__})."
        ) from error
    if loaded is None or loaded[0] is None:
        raise InputError(f"{name} is of a kind that this ComfyUI does not support.")
    model, vae = loaded[0], loaded[2]
    model.cached_patcher_init = _reload_recipe(path)
    image_mixer.tag(model)
    return model, vae, clip_vision


def _vision_tower(visual: dict[str, Tensor], name: str) -> ClipVisionModel:
    try:
        clip_vision = comfy.clip_vision.load_clipvision_from_sd(visual, VISUAL_PREFIX, True)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"The vision tower in {name} is broken ({type(error).__name__}).") from error
    if clip_vision is None:
        raise InputError(f"The vision tower in {name} is of a kind that this ComfyUI does not support.")
    return clip_vision


def _reload_recipe(path: str) -> tuple[Any, ...]:
    """Return how ComfyUI loads the denoiser again for another device: (function, arguments, index of the result).

    The arguments are those of core's own loader, whose signature differs between versions.
    """
    names = inspect.signature(comfy.sd.load_checkpoint_guess_config).parameters
    values = {
        "ckpt_path": path,
        "output_vae": False,
        "output_clip": False,
        "output_clipvision": False,
        "embedding_directory": None,
        "output_model": True,
        "model_options": {},
        "te_model_options": {},
    }
    return comfy.sd.load_checkpoint_guess_config, tuple(values[name] for name in names if name in values), 0
