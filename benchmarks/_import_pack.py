"""Prints the milliseconds that importing the pack takes in a process in which ComfyUI has imported itself.

The argument is a folder for compiled files.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Do as ComfyUI's main.py does: the server first, since packs register routes on it; core's nodes; then the pack."""
    compiled = sys.argv[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        sys.argv = ["main.py", "--cpu", "--base-directory", base, "--database-url", "sqlite:///:memory:"]
        import comfy.options

        comfy.options.enable_args_parsing()
        import execution  # noqa: F401
        import latent_preview  # noqa: F401

        import nodes
        import server

        async def import_all() -> None:
            server.PromptServer(asyncio.get_running_loop())
            await nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False)

        asyncio.run(import_all())
        spec = importlib.util.spec_from_file_location(
            "pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["pack"] = module
        sys.dont_write_bytecode, sys.pycache_prefix = False, compiled
        begun = time.perf_counter()
        spec.loader.exec_module(module)
        print("ms", (time.perf_counter() - begun) * 1000)


if __name__ == "__main__":
    main()
