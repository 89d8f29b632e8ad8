"""The local engine: a mix becomes embeddings, the embeddings condition a diffusion model, the model makes images."""
