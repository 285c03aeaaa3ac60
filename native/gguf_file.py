"""Tensors of a GGUF file, read in place: ggml reads the header, numpy maps the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from native.errors import LlamaError
from native.ggml import F32, GgufOpening, function

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_U32, _STRING, _ARRAY = 4, 8, 9


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor's ggml type, and where its bytes are in the file."""

    type: int
    offset: int
    size_bytes: int


class GgufFile:
    """An open file. For children only: ggml may abort on a hostile one."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle
        start = self._get("data_offset")
        self.tensors = {
            self._get("tensor_name", index).decode("utf-8", "replace"): Placed(
                self._get("tensor_type", index),
                start + self._get("tensor_offset", index),
                self._get("tensor_size", index),
            )
            for index in range(self._get("n_tensors"))
        }

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[GgufFile]:
        """Raises LlamaError if ggml does not take it for GGUF."""
        handle = function("gguf_init_from_file")(str(path).encode(), GgufOpening(no_alloc=True))
        if not handle:
            raise LlamaError(f"{path.name} is no GGUF file")
        try:
            yield cls(path, handle)
        finally:
            function("gguf_free")(handle)

    def text(self, key: str) -> str | None:
        index = self._find(key, _STRING)
        return None if index is None else self._get("val_str", index).decode("utf-8", "replace")

    def number(self, key: str) -> int:
        """An unsigned number of 32 bits; 0 if there is none."""
        index = self._find(key, _U32)
        return 0 if index is None else int(self._get("val_u32", index))

    def texts(self, key: str) -> tuple[str, ...]:
        index = self._find(key, _ARRAY)
        if index is None or self._get("arr_type", index) != _STRING:
            return ()
        count = self._get("arr_n", index)
        return tuple(self._get("arr_str", index, each).decode("utf-8", "replace") for each in range(count))

    def bytes(self, name: str) -> NDArray[np.uint8]:
        """The stored bytes of a tensor: a view of the file. Raises LlamaError where the file ends before."""
        import numpy as np

        placed = self.tensors[name]
        if placed.offset + placed.size_bytes > self._path.stat().st_size:
            raise LlamaError(f"{self._path.name} ends inside {name}")
        return np.memmap(self._path, np.uint8, "r", placed.offset, (placed.size_bytes,))

    def floats(self, name: str) -> NDArray[np.float32]:
        """All values of an F32 tensor, in one row. Raises LlamaError for another type."""
        import numpy as np

        if self.tensors[name].type != F32:
            raise LlamaError(f"{name} in {self._path.name} is not F32")
        return np.array(self.bytes(name)).view("<f4")

    def _find(self, key: str, kind: int) -> int | None:
        index = int(function("gguf_find_key")(self._handle, key.encode()))
        return index if index >= 0 and self._get("kv_type", index) == kind else None

    def _get(self, what: str, *arguments: int) -> Any:
        return function(f"gguf_get_{what}")(self._handle, *arguments)
