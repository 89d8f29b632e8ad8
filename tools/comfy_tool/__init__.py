"""The command line of this pack: a throw-away ComfyUI, workflows run headless, and the pack's tests.

Standard library only, Python 3.10 to 3.13. `tools/comfy.py` is the entry; nothing here is imported by the nodes.
"""
