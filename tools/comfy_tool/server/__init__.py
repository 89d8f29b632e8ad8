"""Starting a ComfyUI server, talking to it, and following a prompt to its end."""
