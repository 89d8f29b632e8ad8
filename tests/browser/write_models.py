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
sys.path[:0] = [comfyui, str(TESTS / "comfyui" / "probe")]
runpy.run_path(str(TESTS / "conftest.py"))

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import edit_models  # noqa: E402
import micro  # noqa: E402
import micro_redux  # noqa: E402
import micro_unclip  # noqa: E402
import torch  # noqa: E402
from image_mixer.local import embeds_file, towers  # noqa: E402
from image_mixer.mixing.mix import Ingredient, Mix, Picture  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

WIDTH, LAYERS, TOKENS, POSITIONS = 768, 12, 49408, 77


def text_tower() -> dict[str, torch.Tensor]:
    """CLIP ViT-L/14's text half with its projection, in the keys and shapes of clip_l.safetensors."""
    shapes: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (TOKENS, WIDTH),
        "text_model.embeddings.position_embedding.weight": (POSITIONS, WIDTH),
        "text_model.final_layer_norm.weight": (WIDTH,),
        "text_model.final_layer_norm.bias": (WIDTH,),
        "text_projection.weight": (WIDTH, WIDTH),
    }
    for layer in range(LAYERS):
        block = f"text_model.encoder.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{block}self_attn.{part}.weight"] = (WIDTH, WIDTH)
            shapes[f"{block}self_attn.{part}.bias"] = (WIDTH,)
        shapes.update(
            {
                f"{block}mlp.fc1.weight": (4 * WIDTH, WIDTH),
                f"{block}mlp.fc1.bias": (4 * WIDTH,),
                f"{block}mlp.fc2.weight": (WIDTH, 4 * WIDTH),
                f"{block}mlp.fc2.bias": (WIDTH,),
                f"{block}layer_norm1.weight": (WIDTH,),
                f"{block}layer_norm1.bias": (WIDTH,),
                f"{block}layer_norm2.weight": (WIDTH,),
                f"{block}layer_norm2.bias": (WIDTH,),
            }
        )
    numbers = torch.randn(TOKENS * WIDTH, generator=torch.Generator().manual_seed(0)).mul_(0.03).half()
    return {name: numbers[: torch.Size(shape).numel()].reshape(shape).clone() for name, shape in shapes.items()}


def embeddings() -> towers.Embeddings:
    """Vectors of two pictures."""
    vectors = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1))
    pictures = tuple(Ingredient("image", Picture(f"{index:064x}", None)) for index in range(2))
    return towers.Embeddings(Mix(pictures, ((1.0, 1.0),)), tuple(towers.Encoded(vector) for vector in vectors))


folders = {name: Path(base, name) for name in ("models/checkpoints", "models/text_encoders", "output/mix_embeds")}
for folder in folders.values():
    folder.mkdir(parents=True, exist_ok=True)
micro.write_checkpoint(folders["models/checkpoints"] / "image-mixer-full.ckpt")
micro_unclip.write_checkpoint(folders["models/checkpoints"] / "sd21-unclip-l.ckpt")
micro_redux.write_files(Path(base, "models"))
save_file(text_tower(), str(folders["models/text_encoders"] / "clip_l.safetensors"))
embeds_file.save(embeddings(), folders["output/mix_embeds"] / "embeds_00001_.safetensors")
edit_models.write(Path(base, "models"))
