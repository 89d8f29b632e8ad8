"""The command line of this pack: a throw-away ComfyUI, workflows run without a browser, and the pack's tests.

`commands/` use `server/`, and `server/` uses `workflow/` and `install/`; no import leads back. `tools/comfy.py` starts
it, and the nodes import nothing from here. It runs in any Python from 3.10 to 3.13: what talks to a server needs
requests, aiohttp and tqdm, which every ComfyUI's Python has, and such commands run themselves again in that Python.
"""
