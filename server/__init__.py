"""The pack's part of ComfyUI's server: the one remote engine that nodes and routes share, and a few HTTP routes."""
