"""Write models and embeddings of random numbers under the names that the workflows ask for.

Run by ComfyUI's Python in a process of its own, as `python write_models.py COMFYUI BASE`: ComfyUI's folder, and the base
directory of a server.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

comfyui, base = sys.argv[1:]
sys.argv[1:] = []
TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [comfyui, str(TESTS / "support" / "probe")]
runpy.run_path(str(TESTS / "conftest.py"))

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import edit_models  # noqa: E402
import micro  # noqa: E402
import micro_adapters  # noqa: E402
import micro_redux  # noqa: E402
import micro_unclip  # noqa: E402
import random_model  # noqa: E402
import torch  # noqa: E402
from image_mixer.local import embeds_file  # noqa: E402
from image_mixer.local.embeddings import Embeddings, Encoded  # noqa: E402
from image_mixer.mixing.mix import Ingredient, Mix, Picture  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

WIDTH, TOKENS = 768, 49408


def text_tower() -> dict[str, torch.Tensor]:
    """CLIP ViT-L/14's text half with its projection, in the keys and shapes of clip_l.safetensors."""
    shapes = random_model.clip_l_shapes()
    numbers = torch.randn(TOKENS * WIDTH, generator=torch.Generator().manual_seed(0)).mul_(0.03).half()
    return {name: numbers[: torch.Size(shape).numel()].reshape(shape).clone() for name, shape in shapes.items()}


def embeddings() -> Embeddings:
    """Vectors of two pictures."""
    vectors = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1))
    pictures = tuple(Ingredient("image", Picture(f"{index:064x}", None)) for index in range(2))
    return Embeddings(Mix(pictures, ((1.0, 1.0),)), tuple(Encoded(vector) for vector in vectors))


FOLDERS = ("checkpoints", "text_encoders", "clip_vision", "ipadapter")
folders = {name: Path(base, name) for name in (*(f"models/{name}" for name in FOLDERS), "output/mix_embeds")}
for folder in folders.values():
    folder.mkdir(parents=True, exist_ok=True)
micro.write_checkpoint(folders["models/checkpoints"] / "image-mixer-full.ckpt")
micro_unclip.write_checkpoint(folders["models/checkpoints"] / "sd21-unclip-l.ckpt")
micro_redux.write_files(Path(base, "models"))
save_file(text_tower(), str(folders["models/text_encoders"] / "clip_l.safetensors"))

# Method ip-adapter: a stock checkpoint of SD1.5's kind with its text tower, a vision tower, and an adapter between them
checkpoint = {f"model.diffusion_model.{key}": value for key, value in micro.unet_state().items()}
checkpoint |= {f"first_stage_model.{key}": value for key, value in random_model.taesd_state(2).items()}
checkpoint |= {f"cond_stage_model.transformer.{key}": value for key, value in text_tower().items()}
save_file(checkpoint, str(folders["models/checkpoints"] / "v1-5-pruned-emaonly-fp16.safetensors"))
micro.write_vision_tower(
    folders["models/clip_vision"] / "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", projection_dim=1024
)
adapter = micro_adapters.flat(micro_adapters.standard(micro.UNET, 1024))
save_file(adapter, str(folders["models/ipadapter"] / "ip-adapter_sd15.safetensors"))

embeds_file.save(embeddings(), folders["output/mix_embeds"] / "embeds_00001_.safetensors")
edit_models.write(Path(base, "models"))
