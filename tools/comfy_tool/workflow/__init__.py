"""Workflows and prompts as data: reading, converting, changing and checking them."""
