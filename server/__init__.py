"""The pack's part of ComfyUI's server: the remote engine that nodes and routes share, HTTP routes, a prompt filter."""
