"""The model's own head for multi-token prediction as a drafter."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from native import head
from native.head import HeadContext
from native.llama import Context
from runner.worker.drafting.drafter import READ_TOKENS, Drafter, Wish
from runner.worker.slots import Slot

# A block and the output matrix, of a dozen or more blocks.
_RELATIVE_S = 0.2


@dataclass(slots=True)
class _Held:
    """The latest states of a slot's sequence, up to that of the token before `end`, and how many of its
    tokens the head has `read`."""

    request_id: str = ""
    states: deque[bytes] = field(default_factory=lambda: deque(maxlen=READ_TOKENS))
    end: int = 0
    read: int = 0

    @property
    def first_readable(self) -> int:
        """A token is read together with the state before it."""
        return self.end - len(self.states) + 1


class Head(Drafter):
    """Keeps the main model's latest states, which costs next to nothing, and reads them when guesses are
    wanted: what it attends to are the tokens of this request from some time before the first guess on."""

    def __init__(self, main: Context) -> None:
        """Raises LlamaError."""
        head.keep_states(main)
        options = replace(main.options, draft_tokens=0, rollback_tokens=0)
        super().__init__(HeadContext(main, options), _RELATIVE_S)
        self._held = [_Held() for _ in range(main.options.sequences)]

    def follow(self, main: Context, slots: Sequence[Slot]) -> None:
        for part in main.batch.parts:
            sequence = slots[part.sequence].sequence
            if sequence is None or not sequence.request.speculation:
                continue
            held = self._held[part.sequence]
            if held.request_id != sequence.request_id:
                self._held[part.sequence] = held = _Held(sequence.request_id, end=part.position)
            # Guesses that were rejected.
            for _ in range(min(held.end - part.position, len(held.states))):
                held.states.pop()
            kept = min(part.count, READ_TOKENS)
            rows = range(part.row + part.count - kept, part.row + part.count)
            held.states.extend(head.state(main, row) for row in rows)
            held.end = part.position + part.count

    def unread(self, wish: Wish) -> int:
        held = self._held[wish.slot]
        return len(wish.tokens) - max(held.read, held.first_readable)

    def forget(self, request_id: str) -> None:
        for index, held in enumerate(self._held):
            if held.request_id == request_id:
                self._held[index] = _Held()

    def read(self, wishes: Sequence[Wish]) -> dict[int, int]:
        batch, rows = self.context.batch, {}
        batch.clear()
        for wish in wishes:
            held = self._held[wish.slot]
            start = self._rewind(wish)
            tokens = wish.tokens[start:]
            # The first is that before `first_readable`; the last may be those of rejected guesses.
            states = list(held.states)[start - held.first_readable :][: len(tokens)]
            if len(states) == len(tokens) <= batch.capacity - batch.struct.n_tokens:
                rows[wish.slot] = self._add(wish.slot, start, tokens, b"".join(states))
                held.read = len(wish.tokens)
        if rows:
            self.decode()
        return rows

    def go_on(self, guesses: dict[int, int], rows: dict[int, int]) -> dict[int, int]:
        states = {slot: head.state(self.context, rows[slot]) for slot in guesses}
        self.context.batch.clear()
        behind = {}
        for slot, token in guesses.items():
            position = self.context.positions(slot)[1] + 1
            behind[slot] = self._add(slot, position, [token], states[slot])
        self.decode()
        return behind

    def _rewind(self, wish: Wish) -> int:
        """Drop guesses from the cache. The first token that has to be read; what lies too far back to be read
        any more is left out, with all that was read before it."""
        held = self._held[wish.slot]
        start = min(held.read, len(wish.tokens) - 1)
        if start < held.first_readable:
            self.context.clear(wish.slot)
            return held.first_readable
        self.context.keep_prefix(wish.slot, start)
        return start

    def _add(self, slot: int, position: int, tokens: Sequence[int], states: bytes) -> int:
        """The row of the last one's logits."""
        batch = self.context.batch
        row = int(batch.struct.n_tokens)
        batch.set_states(row, states)
        return batch.add(slot, position, tokens, 1) - 1
