"""Whether a CPU is faster with flash attention or without: measured, once for a model on a machine.

It depends on the size of heads, the processor and llama.cpp's kernels. SmolLM2-135M with 2,000 tokens in the
context decodes 2.6 times faster without it on one processor, and about as fast on another, where two streams
are a tenth slower without.

The first load must not wait for this, so it is measured when nobody waits for an answer, and counts from the
next load on: a context cannot change its kind of attention.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import replace

from native import state
from native.attention import ANSWER_TOKENS, PROMPT_TOKENS, STREAMS, Verdict
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.reading import can_read

_DEPTH_TOKENS = 512
# Of 64, plain attention takes up to a fifth less; of 128 and 256 about as long, as of 512 in a real batch.
_CHUNK_TOKENS = 128
_CHUNKS, _DECODES = 4, 12
_LONGEST_FILLING_S = 30.0
"""A slow machine with a large model measures at a smaller depth."""
# Spread over the vocabulary, so that a mixture-of-experts model uses different experts as real text does.
_TOKEN_STRIDE = 7919


def measure(
    model: Model, options: ContextOptions, is_wanted: Callable[[], bool]
) -> Generator[None, None, Verdict]:
    """Measures in two small contexts beside the real one: yields after each decode, returns the verdict.

    As soon as `is_wanted` says that somebody waits, the decode stops where it is, to be made again later.
    """
    small = replace(
        options,
        context_length=_DEPTH_TOKENS + 2 * _CHUNK_TOKENS,
        sequences=STREAMS,
        batch_tokens=_CHUNK_TOKENS,
        draft_tokens=0,
        micro_batch_tokens=None,
    )
    with ExitStack() as contexts:
        sides = [
            contexts.enter_context(closing(_Side(model, replace(small, flash_attention=is_on), is_wanted)))
            for is_on in (True, False)
        ]
        filling_until_s = time.monotonic() + _LONGEST_FILLING_S
        while sides[0].depth < _DEPTH_TOKENS and time.monotonic() < filling_until_s:
            for side in sides:
                yield from side.fill()
        for side in sides:
            side.copy_to_others()
        shapes = [(_CHUNK_TOKENS, 1)] * _CHUNKS
        shapes += [(1, 1), (1, STREAMS)] * _DECODES
        for shape in shapes:
            for side in sides:
                yield from side.time(*shape)
        on, off = sides
        # Long prompts are read with it in any case.
        off_prompt_s = on.prompt_s if can_read(model, off.options) else off.prompt_s
        return Verdict(on.prompt_s + on.answer_s, off_prompt_s + off.answer_s)


class _Side(Context):
    """Of one kind, and the shortest times of its decodes by the tokens of each stream, and streams."""

    def __init__(self, model: Model, options: ContextOptions, is_wanted: Callable[[], bool]) -> None:
        super().__init__(model, options)
        self.stop_when(is_wanted)
        self._best_s: dict[tuple[int, int], float] = {}
        self.depth = 0

    @property
    def prompt_s(self) -> float:
        return self._best_s[_CHUNK_TOKENS, 1] / _CHUNK_TOKENS * PROMPT_TOKENS

    @property
    def answer_s(self) -> float:
        return (self._best_s[1, 1] + self._best_s[1, STREAMS] / STREAMS) / 2 * ANSWER_TOKENS

    def fill(self) -> Generator[None, None, None]:
        yield from self._repeat(_CHUNK_TOKENS, 1)
        self.depth += _CHUNK_TOKENS

    def copy_to_others(self) -> None:
        filled = state.save(self, 0)
        for sequence in range(1, STREAMS):
            if not state.restore(self, sequence, filled):
                raise LlamaError("llama.cpp refuses the state of a sequence")

    def time(self, tokens: int, streams: int) -> Generator[None, None, None]:
        seconds = yield from self._repeat(tokens, streams)
        self._best_s[tokens, streams] = min(seconds, self._best_s.get((tokens, streams), seconds))

    def _repeat(self, count: int, streams: int) -> Generator[None, None, float]:
        """Decode `count` tokens of each of `streams` until nobody stops it; how many seconds they took."""
        vocabulary = self.model.vocabulary_size
        tokens = [index * _TOKEN_STRIDE % vocabulary for index in range(self.depth, self.depth + count)]
        while True:
            self._rewind(streams)
            self.batch.clear()
            for sequence in range(streams):
                self.batch.add(sequence, self.depth, tokens, outputs=1)
            started = time.perf_counter()
            is_whole = self.decode()
            seconds = time.perf_counter() - started
            yield
            if is_whole:
                return seconds

    def _rewind(self, streams: int) -> None:
        """To the depth that was filled; models that cannot go back there begin anew."""
        if not all(self.keep_prefix(sequence, self.depth) for sequence in range(streams)):
            self.depth = 0
            for sequence in range(streams):
                self.clear(sequence)
