"""A ComfyUI server as the commands start it, speak to it and follow it."""
