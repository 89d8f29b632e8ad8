"""Workflows and prompts as data: read, converted, changed and checked."""
