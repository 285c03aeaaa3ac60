"""Generating beyond the context: the oldest part is forgotten, and what follows moves up."""

from __future__ import annotations

from array import array

from native.llama import Context, Model
from runner.protocol import Generate
from runner.worker.slots import Slot

_KEPT_PART = 4
"""At most one part in so many of the context is never forgotten, however long the system prompt is."""
FORGOTTEN = -1
"""In the place of tokens in `Slot.cached`: no prompt has it, so nothing from here on is ever reused."""


def shift(context: Context, slot: Slot) -> None:
    """Forget the older half of what may be forgotten: all but the beginning that the request keeps.

    The rest keeps its keys and values, at lower positions; they were computed when the forgotten part was
    still there, so they are not those of a prompt without it.
    """
    sequence = slot.sequence
    if sequence is None:
        return
    kept = _kept_tokens(context.model, sequence.request, len(sequence.tokens) // _KEPT_PART)
    count = (sequence.computed - kept) // 2
    context.forget(slot.index, kept, count)
    del sequence.tokens[kept : kept + count]
    sequence.computed -= count
    sequence.shifted += count
    slot.cached[kept:] = array("i", [FORGOTTEN]) * (sequence.computed - kept)


def _kept_tokens(model: Model, request: Generate, most: int) -> int:
    """Tokens of the prompt's first `kept_characters`; the first token stays in any case, because attention
    rests on it."""
    count, characters = 0, request.kept_characters
    for index, segment in enumerate(request.prompt):
        beginning = segment[:characters]
        characters -= len(beginning)
        if beginning:
            add_special = request.add_bos and index == 0
            count += len(model.tokenize(beginning, add_special=add_special))
    return max(1, min(count, most))
