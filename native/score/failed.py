"""Whose fault it is that an order cannot be carried out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from native.errors import LlamaError, NotFinite
from native.score.record_file import RecordUnusable


class Failed(Exception):
    """`model` counts from 0; `kind` is "load", "memory", "numbers" or "record"."""

    def __init__(self, message: str, model: int | None, kind: str) -> None:
        super().__init__(message)
        self.model = model
        self.kind = kind


@contextlib.contextmanager
def failing(model: int | None, kind: str = "memory") -> Iterator[None]:
    """What goes wrong in the block becomes Failed: `kind` where llama.cpp refuses, of `model`. What failed
    within a block that names another model stays as it is."""
    try:
        yield
    except LlamaError as error:
        raise Failed(str(error), model, kind) from error
    except NotFinite as error:
        words = "its logits are not numbers (NaN or infinite): the file is damaged"
        raise Failed(words, model, "numbers") from error
    except RecordUnusable as error:
        raise Failed(str(error), None, "record") from error
    except OSError as error:
        raise Failed(f"the reference's record: {error.strerror}", None, "record") from error
