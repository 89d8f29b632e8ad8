"""The cache of embeddings: it is bounded in bytes, and drops the values of towers that are gone."""

from __future__ import annotations

import gc

import torch
from image_mixer.local.cache import Cache
from image_mixer.local.embeddings import Encoded


class Tower:
    """Something that can be referenced weakly."""


def test_the_cache_is_bounded_and_drops_the_longest_unused() -> None:
    cache, tower = Cache(max_bytes=3 * 400), Tower()
    for name in ("a", "b", "c"):
        cache.put(tower, (name,), Encoded(torch.zeros(100)))
    assert cache.get(tower, ("a",)) is not None
    cache.put(tower, ("d",), Encoded(torch.zeros(100)))
    assert cache.get(tower, ("b",)) is None
    assert all(cache.get(tower, (name,)) is not None for name in "acd")


def test_the_cache_holds_towers_weakly() -> None:
    cache, tower = Cache(), Tower()
    cache.put(tower, ("a",), Encoded(torch.zeros(100)))
    del tower
    gc.collect()
    assert not cache._kept and cache._bytes == 0
