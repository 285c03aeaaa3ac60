"""One llama_batch, filled again for every step."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from native.binding import api


@dataclass(frozen=True, slots=True)
class Part:
    """`count` tokens of a sequence, from `position` of it and from row `row` of the batch on."""

    sequence: int
    position: int
    row: int
    count: int


class Batch:
    """Up to `capacity` tokens of up to `sequences` sequences.

    llama.cpp aborts the process on a batch beyond its n_batch, and splits the step into several where
    sequences do not come in ascending order: `add` checks the one, the caller keeps the other.
    """

    def __init__(self, capacity: int, sequences: int, state_width: int = 0) -> None:
        """With `state_width`, every token comes with a state of so many 32-bit floats (`set_states`)."""
        self.capacity = capacity
        self.parts: list[Part] = []
        self._state_bytes = state_width * ctypes.sizeof(ctypes.c_float)
        self._states = bytearray(capacity * self._state_bytes)
        self._tokens = (api.llama_token * capacity)()
        self._positions = (api.llama_pos * capacity)()
        self._sequence_ids = (ctypes.POINTER(api.llama_seq_id) * capacity)()
        self._outputs = (ctypes.c_int8 * capacity)()
        # Each shared by all rows of a sequence.
        self._ids = [ctypes.pointer(api.llama_seq_id(index)) for index in range(sequences)]
        states = (ctypes.c_float * (capacity * state_width)).from_buffer(self._states)
        self.struct = api.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=states if state_width else None,
            pos=self._positions,
            n_seq_id=(ctypes.c_int32 * capacity)(*[1] * capacity),
            seq_id=self._sequence_ids,
            logits=self._outputs,
        )

    def clear(self) -> None:
        self.struct.n_tokens = 0
        self.parts.clear()

    def add(self, sequence: int, position: int, tokens: Sequence[int], outputs: int) -> int:
        """Append `tokens` at `position` of `sequence`, the last `outputs` of them with logits; returns the
        row behind the last one."""
        start = int(self.struct.n_tokens)
        end = start + len(tokens)
        if end > self.capacity:
            raise ValueError(f"{end} tokens in a batch of {self.capacity}")
        self._tokens[start:end] = tokens
        self._positions[start:end] = range(position, position + len(tokens))
        for row in range(start, end):
            self._sequence_ids[row] = self._ids[sequence]
        first_output = end - outputs
        self._outputs[start:first_output] = [0] * (first_output - start)
        self._outputs[first_output:end] = [1] * outputs
        self.struct.n_tokens = end
        self.parts.append(Part(sequence, position, start, len(tokens)))
        return end

    def set_states(self, row: int, states: bytes) -> None:
        """The states of the tokens from row `row` on. Raises BufferError beyond the last row."""
        start = row * self._state_bytes
        self._states[start : start + len(states)] = states
