"""Pointers into llama.cpp that must be freed."""

from __future__ import annotations

from collections.abc import Callable

from native.errors import LlamaError


class Owner:
    """Frees its pointer once, and does not give it out after that: llama.cpp would crash."""

    def __init__(self, pointer: object, free: Callable[[object], None]) -> None:
        self._pointer, self._free = pointer, free

    @property
    def handle(self) -> object:
        """Raises LlamaError once this is closed, and so does all that needs it."""
        if self._pointer is None:
            raise LlamaError(f"this {type(self).__name__} is closed")
        return self._pointer

    def close(self) -> None:
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            self._free(pointer)
