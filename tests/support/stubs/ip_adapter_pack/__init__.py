"""A stand-in of a well-known IP-Adapter pack (its node ids, titles, types and model folder); it adapts nothing."""

from pathlib import Path

import folder_paths

if "ipadapter" in folder_paths.folder_names_and_paths:
    _folders, _ = folder_paths.folder_names_and_paths["ipadapter"]
else:
    _folders = [str(Path(folder_paths.models_dir) / "ipadapter")]
folder_paths.folder_names_and_paths["ipadapter"] = (_folders, folder_paths.supported_pt_extensions)


class ModelLoader:
    CATEGORY, FUNCTION, RETURN_TYPES = "ipadapter", "work", ("IPADAPTER",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ipadapter_file": (folder_paths.get_filename_list("ipadapter"),)}}

    def work(self, ipadapter_file):
        return ({"file": ipadapter_file},)


class Weights:
    CATEGORY, FUNCTION = "ipadapter/weights", "work"
    RETURN_TYPES, RETURN_NAMES = ("FLOAT", "FLOAT", "INT"), ("weights", "weights_invert", "total_frames")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"weights": ("STRING", {"default": "1.0, 0.0", "multiline": True})}}

    def work(self, weights):
        row = [float(weight) for weight in weights.split(",")]
        return (row, [1.0 - weight for weight in row], len(row))


class PrepImage:
    CATEGORY, FUNCTION, RETURN_TYPES = "ipadapter/utils", "work", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "sharpening": ("FLOAT", {"default": 0.0})}}

    def work(self, image, sharpening):
        side = min(image.shape[1:3])
        return (image[:, :side, :side],)


class Encoder:
    CATEGORY, FUNCTION, RETURN_TYPES = "ipadapter/embeds", "work", ("EMBEDS", "EMBEDS")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ipadapter": ("IPADAPTER",), "image": ("IMAGE",), "weight": ("FLOAT", {"default": 1.0})}}

    def work(self, ipadapter, image, weight):
        return (image.mean() * weight, image.mean() * 0)


_TITLES = {
    "IPAdapter": "IPAdapter",
    "IPAdapterAdvanced": "IPAdapter Advanced",
    "IPAdapterEmbeds": "IPAdapter Embeds",
    "IPAdapterUnifiedLoader": "IPAdapter Unified Loader",
    "IPAdapterModelLoader": "IPAdapter Model Loader",
    "IPAdapterEncoder": "IPAdapter Encoder",
    "IPAdapterCombineEmbeds": "IPAdapter Combine Embeds",
    "IPAdapterSaveEmbeds": "IPAdapter Save Embeds",
    "IPAdapterLoadEmbeds": "IPAdapter Load Embeds",
    "IPAdapterWeights": "IPAdapter Weights",
    "IPAdapterCombineWeights": "IPAdapter Combine Weights",
    "PrepImageForClipVision": "Prep Image For ClipVision",
}
_OTHERS = {"IPAdapterModelLoader": ModelLoader, "IPAdapterWeights": Weights, "PrepImageForClipVision": PrepImage}

NODE_CLASS_MAPPINGS = {name: _OTHERS.get(name, Encoder) for name in _TITLES}
NODE_DISPLAY_NAME_MAPPINGS = _TITLES
