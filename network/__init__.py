"""Guarded requests: which addresses may be reached, one HTTP exchange, and pictures downloaded."""
