"""The throw-away ComfyUI: what it is made of, where it lies, and how it is set up. Standard library only."""
