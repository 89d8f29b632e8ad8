"""Finding a ComfyUI and its Python, setting up a throw-away one, and linking the pack into it."""
