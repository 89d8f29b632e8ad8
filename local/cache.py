"""The one cache of the local engine: embeddings by tower and content, bounded in bytes."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

CACHE_BYTES = 256 * 2**20

Key = tuple[Any, ...]
"""What a value depends on besides its tower: patches, content, preparation. Anything hashable."""


class Sized(Protocol):
    """What the cache can hold: any value that knows its size."""

    @property
    def nbytes(self) -> int:
        """Return the size in bytes."""


class Cache:
    """Values by (tower, key); the least recently used ones are dropped when they exceed `max_bytes`.

    Towers are referenced weakly: when ComfyUI drops a tower, its values go with it. An adapter may stand in for a tower.
    Safe for use by several threads.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, Sized] = OrderedDict()
        self._serials: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next_serial = 0
        self._lock = threading.RLock()

    def get(self, tower: object, key: Key) -> Any:
        """Return the value for `key` of `tower`, or None."""
        with self._lock:
            full_key = (self._serial(tower), *key)
            value = self._kept.get(full_key)
            if value is not None:
                self._kept.move_to_end(full_key)
            return value

    def put(self, tower: object, key: Key, value: Sized) -> None:
        """Keep `value`, and drop the least recently used values while the total exceeds `max_bytes`."""
        with self._lock:
            full_key = (self._serial(tower), *key)
            self._drop(full_key)
            self._kept[full_key] = value
            self._bytes += value.nbytes
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    def _serial(self, tower: object) -> int:
        serial = self._serials.get(tower)
        if serial is None:
            serial = self._serials[tower] = self._next_serial
            self._next_serial += 1
            weakref.finalize(tower, self._forget, serial)
        return serial

    def _forget(self, serial: int) -> None:
        with self._lock:
            for key in [key for key in self._kept if key[0] == serial]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        value = self._kept.pop(key, None)
        if value is not None:
            self._bytes -= value.nbytes


CACHE = Cache()
"""Shared by Encode Mix and Image Mixer (Local)."""


def patches_of(patcher: ModelPatcher) -> object:
    """Return an identifier of the patches (a LoRA, for example) on a tower, or None: a patched tower needs its own keys."""
    return getattr(patcher, "patches_uuid", None) if patcher.patches else None
