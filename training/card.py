"""Write the model card: what the demo model is, how it was made, and the figures that were measured."""

from __future__ import annotations

from typing import Any

from . import scenes
from .figures import PAIRS, SINGLES, WORDS
from .through_pack import GUIDANCE, SAMPLER, SCHEDULER, STEPS

_MEANING = {
    "single_match": f"one ingredient of weight 1: the picture matches it in shape and colour ({SINGLES} pictures)",
    "ends_match": f"both ends of a sweep match their ingredient in shape and colour ({PAIRS} pairs)",
    "spearman": "rank correlation of the second ingredient's weight with the likeness to the first, mean of the sweeps",
    "trace": "at least one of the three middle pictures of a sweep shows something of both ingredients",
    "trace_middle": "the exact middle of a sweep shows something of both ingredients",
    "text_pull": f"one word of weight 1.5 prevails over a picture of weight 0.5, worst factor ({WORDS} pictures per factor)",
    "swap_difference": "largest difference of a pixel if two ingredients are swapped together with their weights",
    "seconds_per_image": "one picture alone, on one processor core",
    "size_mb": "all files in this folder",
}


def card(figures: dict[str, dict[str, Any]], notes: dict[str, Any], size: int) -> str:
    """Return the card as Markdown. `figures` are those of benchmarks/demo.py; `notes` is what the stages wrote down."""
    factors = "\n".join(f"- {name}: {', '.join(values)}" for name, values in scenes.FACTORS.items())
    rows = "\n".join(
        f"| `{name}` | {_MEANING.get(name, '')} | {facts['value']:g} {facts['unit']} | {facts['aim'] or ''} |"
        for name, facts in figures.items()
        if name in _MEANING
    )
    held_out = len(scenes.split("report"))
    training = scenes.COMBINATIONS - 2 * held_out
    return _CARD.format(
        factors=factors, rows=rows, held_out=held_out, training=training, megabytes=f"{size / 1e6:.1f}",
        combinations=scenes.COMBINATIONS, steps=STEPS, guidance=f"{GUIDANCE:g}", sampler=SAMPLER, scheduler=SCHEDULER,
        decibels=notes.get("vae_decibels", "?"), tower=_shares(notes.get("tower_right")),
        judge=_shares((notes.get("judge_right") or {}).get("report")),
    )  # fmt: skip


def _shares(right: dict[str, float] | None) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in (right or {}).items()) or "?"


_CARD = """# Demo model

A miniature image mixer of {megabytes} MB, trained from scratch on drawn pictures, so that mixing can be seen and tested
offline. It knows only what is listed here and is of no use for anything else. Licence: the same as the rest of this repository.

## Data
Pictures of 64 × 64 pixels, drawn from signed distances by `training/scenes.py`, with independent factors:

{factors}

Size and position vary too, but the embeddings do not encode them. Of the {combinations} combinations, {training} were
used for training, {held_out} are held out for choices (guidance scale, number of steps, bundled pictures) and {held_out} for the
figures below. Captions are made from the same factors.

## Parts
- Denoiser: ComfyUI's UNet of the SD1.x kind, 96 channels at 8 × 8 and 4 × 4 cells, a context of five tokens of 128 numbers,
  v prediction on Stable Diffusion's noise levels.
- Autoencoder: 8 × 8 cells of 12 channels; {decibels} dB on held-out pictures.
- Vision tower: ComfyUI's CLIP vision model, 4 layers of 128, patches of 8. It is trained to return the sum of one fixed
  vector per word of the caption, from whole pictures and from crops. Its second stage saw every combination, because CLIP
  too has seen more than the mixer that uses it: without them, it recognised only 95 % of the shapes. Correct on combinations
  that the denoiser did not see: {tower}.
- Text tower: ComfyUI's CLIP text model, 2 layers of 128, trained onto the same vectors. The file contains the rows of the
  words that it knows; every other word is a row of zeros.

## Training
1. The image mixer's own training: up to five views of a picture (whole or cropped), each dropped with probability 0.1; the
   whole conditioning dropped with probability 0.1. This alone makes a model that switches between ingredients instead of
   mixing them.
2. An extension that the original does not have: one to three pictures with weights that share a sum, a word or a caption
   with its own weight, and as the target a training picture that takes a share of its factors from each ingredient, equal to
   the ingredient's weight (of four factors always two from each at weights 0.5 and 0.5). 15 % of each batch are trained as
   in step 1.

Denoiser: 1,500 steps of step 1 and 5,000 of step 2, 64 pictures each (416,000 in all), AdamW, moving average.
All random numbers come from seeded generators, so two runs of `python training/train.py` agree up to floating point.
These weights come from one unattended run of that command. It took 2 h 6 min at the lowest priority, beside other work on
two processor cores.

## Figures
On the {held_out} combinations on which no choice was made, with {steps} steps of {sampler} ({scheduler}) and a guidance
scale of {guidance}, through the pack's own nodes, read by a judge that was trained only on real pictures of the training
combinations. The judge is correct on real pictures of these combinations in:
{judge}.

| figure | meaning | value | aim |
|---|---|---|---|
{rows}
"""
