"""The model card: what the demo model is, how it was made, and its true figures."""

from __future__ import annotations

from typing import Any

from . import scenes
from .figures import PAIRS, SINGLES, WORDS
from .through_pack import GUIDANCE, SAMPLER, SCHEDULER, STEPS

_MEANING = {
    "single_match": f"one ingredient of weight 1: the picture matches it in shape and colour ({SINGLES} pictures)",
    "ends_match": f"both ends of a sweep match their ingredient in shape and colour ({PAIRS} pairs)",
    "spearman": "likeness to the first ingredient against the weight of the second, mean rank correlation of the sweeps",
    "trace": "both ingredients leave a trace in at least one of the three middle pictures of a sweep",
    "trace_middle": "both leave a trace in the exact middle",
    "text_pull": f"one word of weight 1.5 beats a picture of weight 0.5, worst factor ({WORDS} pictures a factor)",
    "swap_difference": "greatest difference of a pixel when ingredients swap places together with their weights",
    "seconds_per_image": "one picture alone, on one processor core",
    "size_mb": "everything in this folder",
}


def card(figures: dict[str, dict[str, Any]], notes: dict[str, Any], size: int) -> str:
    """The card as Markdown. `figures` are those of benchmarks/demo.py, `notes` what the stages wrote down."""
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

A miniature image mixer of {megabytes} MB, trained from nothing on drawn pictures, so that mixing can be seen and tested
offline. It knows only what is listed here; it is no use for anything else. License: as the rest of this repository.

## Data
Pictures of 64 × 64 pixels, drawn from signed distances by `training/scenes.py`, with independent factors:

{factors}

and size and place, which are free: the embeddings do not carry them. Of the {combinations} combinations {training} were
used in training; {held_out} are held out for choices (guidance, number of steps, bundled pictures) and {held_out} for the
figures below. Captions are made of the same factors.

## Parts
- Denoiser: ComfyUI's UNet of the SD1.x kind, 96 channels at 8 × 8 and 4 × 4 cells, context of five tokens of 128 numbers,
  v prediction on Stable Diffusion's noise levels.
- Autoencoder: 8 × 8 cells of 12 channels; {decibels} dB on held-out pictures.
- Vision tower: ComfyUI's CLIP vision model, 4 layers of 128, patches of 8. It is trained to give the sum of one fixed
  vector for each word of the caption, from whole pictures and crops. Its second stage saw every combination, as CLIP has
  seen more than the mixer that is built on it: trained without them it read the shape in 95 % only. Right on combinations
  held out from the denoiser: {tower}.
- Text tower: ComfyUI's CLIP text model, 2 layers of 128, trained onto the same vectors. The file holds the rows of the
  words that it knows; every other word is a zero row.

## Recipe
1. The image mixer's own: up to five views of a picture (whole or cropped), each left out with probability 0.1; the whole
   conditioning left out with probability 0.1. This alone switches between ingredients instead of mixing them.
2. An extension that the original does not have: one to three pictures with weights that share a sum, a word or a caption
   with a weight of its own, and as the target a training picture that takes from each ingredient a share of its factors
   as large as its weight (of four factors two from each at weights 0.5 and 0.5, always). A share of 15 % of each batch
   keeps the first recipe.

Denoiser: 1,500 steps of the first and 5,000 of the second, 64 pictures each (416,000 in all), AdamW, moving average.
All random numbers come from seeded generators, so that two runs of `python training/train.py` agree up to floating point.
The weights here come from one unattended run of that command, which took 2 h 6 min at the lowest priority beside other work
on two processor cores.

## Figures
On the {held_out} combinations on which no choice was made, with {steps} steps of {sampler} ({scheduler}) and a guidance
scale of {guidance}, through the pack's own nodes, read by a judge that learnt from real pictures of the training
combinations only. Real pictures of these combinations it reads right in:
{judge}.

| figure | meaning | value | aim |
|---|---|---|---|
{rows}
"""
