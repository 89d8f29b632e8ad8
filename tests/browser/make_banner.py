"""Make web/banner.jpg, the wide picture on the pack's page in the registry.

`COMFYUI_PATH=... PYTHONPATH=$COMFYUI_PATH python tests/browser/make_banner.py` with a Python that has ComfyUI's
requirements. Needs no browser. The pictures at both ends of a row are those that ship with the demo model; the model
made everything between them, through the pack's own nodes, by a sweep of the weights. The bar below each picture shows
the shares of the two ingredients. Look at the banner afterwards.
"""

from __future__ import annotations

import runpy
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
runpy.run_path(str(TESTS / "conftest.py"))

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True

import torch  # noqa: E402
from image_mixer.local import demo  # noqa: E402
from image_mixer.training.figures import Ask  # noqa: E402
from image_mixer.training.through_pack import Pack  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

FILE = TESTS.parent / "web" / "banner.jpg"
SIZE = (1344, 576)
"""21:9, which the registry asks for."""

STEPS = 7
"""Variants per row, of which the two ends show one ingredient alone."""

ROWS = (((2, 1), "#2fc4d4", "#dc3a34", 2), ((1, 0), "#dc3a34", "#f2c31f", 2))
"""Per row: the two bundled pictures, the colours of their shares, and the seed."""

TILE, END, GAP, LEFT = 118, 150, 10, 36
BACKGROUND, INK, FAINT = "#20242c", "#f3ede2", "#a5acb8"
QUALITY = 88


def sweep(make: Pack, pictures: torch.Tensor, seed: int) -> list[Image.Image]:
    """Return STEPS pictures from the first of `pictures` [2, 3, H, W] to the second."""
    rows = tuple((1 - step / (STEPS - 1), step / (STEPS - 1)) for step in range(STEPS))
    (made,) = make([Ask(pictures, (), rows, seed)])
    return [as_image(picture) for picture in made]


def as_image(picture: torch.Tensor) -> Image.Image:
    """Return a picture [3, H, W] in 0..1 as a Pillow image."""
    return Image.fromarray((picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).contiguous().numpy())


def banner(rows: list[tuple[list[Image.Image], list[Image.Image], str, str]]) -> Image.Image:
    """Return the banner: a title, and one line of pictures per row (its ends, its sweep, and two colours)."""
    image = Image.new("RGB", SIZE, BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((LEFT, 70), "Image Mixer", fill=INK, font=ImageFont.load_default(64), anchor="lm")
    draw.text(
        (SIZE[0] - LEFT, 74),
        "mix images by weight, in ComfyUI",
        fill=FAINT,
        font=ImageFont.load_default(32),
        anchor="rm",
    )
    for number, (ends, pictures, first, second) in enumerate(rows):
        top = 142 + number * 214
        paste(image, ends[0], LEFT, top, END)
        paste(image, ends[1], SIZE[0] - LEFT - END, top, END)
        room = SIZE[0] - 2 * (LEFT + END) - STEPS * TILE
        step = TILE + room // (STEPS + 1)
        x = LEFT + END + room // (STEPS + 1)
        for index, picture in enumerate(pictures):
            paste(image, picture, x, top, TILE)
            shares(draw, x, top + TILE + 12, 1 - index / (STEPS - 1), first, second)
            x += step
    return image


def paste(image: Image.Image, picture: Image.Image, x: int, y: int, side: int) -> None:
    """Put a picture with rounded corners at (x, y)."""
    mask = Image.new("L", (4 * side, 4 * side), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * side - 1, 4 * side - 1), 4 * 12, fill=255)
    resample = Image.Resampling.LANCZOS
    image.paste(picture.resize((side, side), resample), (x, y), mask.resize((side, side), resample))


def shares(draw: ImageDraw.ImageDraw, x: int, y: int, share: float, first: str, second: str) -> None:
    """Draw a bar of two parts: `share` of the first ingredient, the rest of the second."""
    edge = x + round(share * TILE)
    if share > 0:
        draw.rectangle((x, y, edge - 1, y + 19), fill=first)
    if share < 1:
        draw.rectangle((edge, y, x + TILE - 1, y + 19), fill=second)


def main() -> None:
    """Write the banner."""
    torch.set_num_threads(1)
    make, bundled = Pack(demo.load_demo()), [picture[0].movedim(-1, 0) for picture in demo.load_pictures()]
    rows = []
    for chosen, first, second, seed in ROWS:
        pictures = torch.stack([bundled[number] for number in chosen])
        rows.append(([as_image(picture) for picture in pictures], sweep(make, pictures, seed), first, second))
    banner(rows).save(FILE, quality=QUALITY, optimize=True)
    print(FILE, FILE.stat().st_size)


if __name__ == "__main__":
    main()
