"""A stand-in of a well-known utility pack (its ids, its any-type, routes, page script and prompt hook), and a list of
all routes of the server for the tests."""

from aiohttp import web

from server import PromptServer


class AnyType(str):
    """Equal to every type, as packs did it before ComfyUI had such a type."""

    def __ne__(self, other):
        return False


ANY = AnyType("*")


class Seed:
    CATEGORY, FUNCTION, RETURN_TYPES, RETURN_NAMES = "rgthree", "work", ("INT",), ("SEED",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"seed": ("INT", {"default": 0, "min": -1125899906842624, "max": 1125899906842624})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "unique_id": "UNIQUE_ID"},
        }

    def work(self, seed=0, prompt=None, extra_pnginfo=None, unique_id=None):
        return (seed,)


class Switch:
    CATEGORY, FUNCTION, RETURN_TYPES = "rgthree", "work", (ANY,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": {"any_01": (ANY,), "any_02": (ANY,)}}

    def work(self, any_01=None, any_02=None):
        return (any_02 if any_01 is None else any_01,)


class Display:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "rgthree", "work", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"source": (ANY, {})}}

    def work(self, source=None):
        return {"ui": {"text": (str(source)[:200],)}}


NODE_CLASS_MAPPINGS = {
    "Seed (rgthree)": Seed,
    "Any Switch (rgthree)": Switch,
    "Display Any (rgthree)": Display,
    "Display Int (rgthree)": Display,
    "Context (rgthree)": Switch,
    "Image Comparer (rgthree)": Display,
}
NODE_DISPLAY_NAME_MAPPINGS = {name: name for name in NODE_CLASS_MAPPINGS}
WEB_DIRECTORY = "./web"

_routes = PromptServer.instance.routes


@_routes.get("/rgthree/config.js")
async def config_script(_request):
    return web.Response(text="export const rgthreeConfig = {}", content_type="application/javascript")


@_routes.get("/rgthree/api/config")
async def config(_request):
    return web.json_response({"nodes": {}})


@_routes.get("/stub/routes")
async def routes(_request):
    found = [
        [route.method, route.resource.canonical]
        for route in PromptServer.instance.app.router.routes()
        if route.resource is not None
    ]
    return web.json_response(found)


def _on_prompt(request):
    request.setdefault("extra_data", {})["seen by the utility pack"] = True
    return request


PromptServer.instance.add_on_prompt_handler(_on_prompt)
