"""Marks the folder as a ComfyUI."""
