"""Image Mixer: mix images by weight in ComfyUI. This file only registers the nodes, routes and web files."""

from server import PromptServer

from .nodes import NODES
from .server import prompts, routes

NODE_CLASS_MAPPINGS = {node.GET_SCHEMA().node_id: node for node in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {node.GET_SCHEMA().node_id: node.GET_SCHEMA().display_name for node in NODES}
WEB_DIRECTORY = "./web"

routes.register(PromptServer.instance)
prompts.register(PromptServer.instance, NODES)

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
