"""Guarded requests: which addresses may be contacted, one HTTP exchange, and downloads of pictures."""
