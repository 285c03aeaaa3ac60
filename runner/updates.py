"""Updates on one request, and how those that wait for a slow reader become fewer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from modelstore.errors import NybbleError
from runner.protocol import Delta, Finished

Update = Delta | Finished | NybbleError


def joined(updates: Iterable[Update]) -> Iterator[Update]:
    """The same with pieces of text that follow each other as one."""
    text: list[Delta] = []
    for update in updates:
        if isinstance(update, Delta) and update.prompt_tokens_total is None and update.queue_position is None:
            text.append(update)
            continue
        if text:
            yield _as_one(text)
            text = []
        yield update
    if text:
        yield _as_one(text)


def _as_one(pieces: Sequence[Delta]) -> Delta:
    if len(pieces) == 1:
        return pieces[0]
    return msgspec.structs.replace(
        pieces[-1],
        text="".join(piece.text for piece in pieces),
        logprobs=tuple(token for piece in pieces for token in piece.logprobs),
    )
