"""These tests run on ComfyUI's own modules, on the CPU: see tests/support/in_comfyui.py."""

from image_mixer.tests.support.in_comfyui import as_in_comfyui, micro_models

__all__ = ["as_in_comfyui", "micro_models"]
