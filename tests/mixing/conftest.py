"""Properties are tried with the same examples on every run, and however slow the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("mixing", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("mixing")
