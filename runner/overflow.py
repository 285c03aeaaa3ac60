"""What leaves a conversation that is longer than the context: pure choices, made on roles and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

_ROOM_PART = 4
"""One part in so many of the context is kept free for the answer."""
_CUT_PART = 4
"""Turns leave in cuts of one part in so many of what may stay: a conversation that grows is then cut at the
same place for several turns, and its beginning is found computed."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message as this module sees it."""

    role: str
    characters: int


def room_for_answer(context_length: int, max_tokens: int | None) -> int:
    """Tokens that a shortened prompt leaves free: a quarter of the context, or `max_tokens` if less."""
    room = max(1, context_length // _ROOM_PART)
    return room if max_tokens is None else max(1, min(room, max_tokens))


def oldest_turns(parts: Sequence[Part], prompt_tokens: int, most_tokens: int) -> frozenset[int]:
    """Indexes of the messages to leave out of a prompt of `prompt_tokens` tokens, to make it `most_tokens`.

    Whole turns go, oldest first: a user's message with all that follows until the next one. The system's
    messages stay, and so does the last turn. At least one turn goes; empty if none may.
    """
    token_characters = sum(part.characters for part in parts) / max(prompt_tokens, 1)
    cut_tokens = max(1, most_tokens // _CUT_PART)
    excess = ceil((prompt_tokens - most_tokens) / cut_tokens) * cut_tokens * token_characters
    gone: set[int] = set()
    for turn in _turns(parts)[:-1]:
        gone |= turn
        excess -= sum(parts[index].characters for index in turn)
        if excess <= 0:
            break
    return frozenset(gone)


def _turns(parts: Sequence[Part]) -> list[set[int]]:
    """Messages that belong together, without the system's. What comes before the first user's is part of the
    first turn; without any user's, each message stands alone."""
    said = [index for index, part in enumerate(parts) if part.role != "system"]
    starts = [index for index in said if parts[index].role == "user"] or said
    later = frozenset(starts[1:])
    turns: list[set[int]] = []
    for index in said:
        if not turns or index in later:
            turns.append(set())
        turns[-1].add(index)
    return turns


def kept_characters(prompt: str, system: Sequence[str], turns: Sequence[str]) -> int:
    """How much of the rendered `prompt` comes before the words of the first turn: what a shift must not
    forget. `system` and `turns` are the messages' texts, in order."""
    at = 0
    for text in system:
        found = prompt.find(text.strip(), at)
        at = found + len(text.strip()) if found >= 0 else at
    first = next((text.strip() for text in turns if text.strip()), "")
    return max(prompt.find(first, at), at)
