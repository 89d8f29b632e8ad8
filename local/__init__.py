"""The local engine: a mix becomes embeddings, the embeddings condition a diffusion model, the model makes images.

`engine` is the way in. `encoders` (with `towers`, `cache`, `embeddings`) makes embeddings, `methods` condition a model on
them, and `batches` (with `items`, `prompts`, `sampling`, `latents`) samples and decodes.
"""
