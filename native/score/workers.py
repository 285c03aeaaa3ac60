"""Several models read the same block of tokens, each as fast as it can.

Threads of one model wait for each other in every operation, and models would if all had to have read a piece
before any went on. So each model gets few threads, and may be one piece ahead of the others. What is asked of
its logits is asked at once, beside a copy of the reference's; none are kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import psutil
from numpy.typing import NDArray

from native.errors import LlamaError
from native.load import Governor, sample
from native.score import rows
from native.score.models import Piece, Reader, models_at_once, pieces

T = TypeVar("T")
# Between blocks other children answer, or are timed; that is no load of the machine's.
_LONGEST_BLOCK_S = 60.0


@dataclass(frozen=True, slots=True)
class Places:
    """A few places of a block: a model's logits there, the reference's, the tokens that follow, and which of
    the scored tokens the first of these is. Logits may be overwritten once the work on them returns."""

    logits: rows.Rows
    reference: rows.Rows
    following: NDArray[np.intp]
    first: int
    scratch: rows.Scratch


Work = Callable[[Places], T]


class ModelFailed(LlamaError):
    """llama.cpp could not decode with model `model`, counted from 0."""

    def __init__(self, model: int, message: str) -> None:
        super().__init__(message)
        self.model = model


def next_model(
    begun: Sequence[int], finished: Sequence[int], pieces: int, seconds: Sequence[float]
) -> int | None:
    """Whose next piece to read, by how many of the block's `pieces` each model has begun and finished; the
    first is the reference, whose copies are kept of two pieces. `seconds` is what a piece takes each: the
    slowest comes first, so that none is left to be waited for at the end. None if no model may go on."""
    may_go_on = [
        model
        for model, count in enumerate(begun)
        if count == finished[model] and count < min(pieces, min(finished) + 2, begun[0] + (model == 0))
    ]
    return min(may_go_on, key=lambda model: (begun[model], model != 0, -seconds[model]), default=None)


@dataclass(slots=True)
class _Block:
    readers: Sequence[Reader]
    tokens: Sequence[int]
    first_scored: int
    pieces: Sequence[Piece]
    copies: Sequence[rows.Rows]
    at_once: int
    references: list[Future[rows.Rows]] = field(init=False)

    def __post_init__(self) -> None:
        self.references = [Future() for _ in self.pieces]

    def read(self, model: int, number: int) -> rows.Rows:
        """Logits of piece `number`, until the model reads the next. Raises ModelFailed."""
        known = self.references[number]
        try:
            logits = self._logits(model, self.pieces[number])
            if model == 0:
                copy = self.copies[number % 2][: len(logits)]
                np.copyto(copy, logits)
                known.set_result(copy)
            return logits
        except BaseException as error:
            if model == 0:
                known.set_exception(error)
            raise

    def following(self, number: int) -> NDArray[np.intp]:
        """The tokens behind those of piece `number` that have logits: behind the last of all there is none,
        it is only read to fill its tile."""
        piece = self.pieces[number]
        return np.asarray(self.tokens[piece.end - piece.outputs + 1 : piece.end + 1], np.intp)

    def _logits(self, model: int, piece: Piece) -> rows.Rows:
        try:
            return self.readers[model].read(self.tokens, piece)
        except LlamaError as error:
            raise ModelFailed(model, str(error)) from error


class Workers:
    """At most `threads` processor threads, fewer while others keep the machine busy; shared by models that
    decode beside each other and by what works on their logits."""

    def __init__(self, threads: int, vocabulary_size: int) -> None:
        self._threads = threads
        self._governor = Governor(threads, psutil.cpu_count() or threads, _LONGEST_BLOCK_S)
        self._vocabulary_size = vocabulary_size
        self._own = threading.local()
        # Kept: OpenMP makes a team of threads for each thread that calls llama.cpp.
        self._reading: dict[int, ThreadPoolExecutor] = {}
        self._working = ThreadPoolExecutor(threads)
        self._seconds: dict[int, float] = {}
        self._copies: list[rows.Rows] = []

    def over(
        self, readers: Sequence[Reader], tokens: Sequence[int], first_scored: int, works: Sequence[Work[T]]
    ) -> list[list[T]]:
        """What each reader's work makes of all scored tokens, a few at a time. Raises ModelFailed."""
        self._threads = self._governor.observe(sample())
        # A GPU has its own order.
        on_gpu = any(reader.is_on_gpu for reader in readers)
        at_once = 1 if on_gpu else models_at_once(len(readers), self._threads)
        for reader in readers:
            reader.use_threads(self._threads // at_once)
        most = readers[0].most_outputs
        if not self._copies:
            self._copies = [np.empty((most, self._vocabulary_size), np.float32) for _ in range(2)]
        parts = list(pieces(len(tokens), first_scored - 1, most))
        return self._read(_Block(readers, tokens, first_scored, parts, self._copies, at_once), works)

    def _read(self, block: _Block, works: Sequence[Work[T]]) -> list[list[T]]:
        pool = self._reading.setdefault(block.at_once, ThreadPoolExecutor(block.at_once))
        begun, finished = [0] * len(works), [0] * len(works)
        found: list[list[T]] = [[] for _ in works]
        running: dict[Future[list[T]], int] = {}
        try:
            while min(finished) < len(block.pieces):
                seconds = [self._seconds.get(model, 0.0) for model in range(len(works))]
                model = next_model(begun, finished, len(block.pieces), seconds)
                if model is not None and len(running) < block.at_once:
                    running[pool.submit(self._piece, block, model, begun[model], works[model])] = model
                    begun[model] += 1
                    continue
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    model = running.pop(done)
                    found[model] += done.result()
                    finished[model] += 1
        finally:
            # Whatever became of one model, the others' contexts are theirs until they are done.
            wait(running)
        return found

    def _piece(self, block: _Block, model: int, number: int, work: Work[T]) -> list[T]:
        started = time.perf_counter()
        logits = block.read(model, number)
        self._seconds[model] = time.perf_counter() - started
        following = block.following(number)
        piece = block.pieces[number]
        first = piece.end - piece.outputs + 1 - block.first_scored
        reference = block.references[number].result()
        step = rows.rows_at_once(self._vocabulary_size)

        def some(start: int) -> T:
            part = slice(start, min(start + step, len(following)))
            places = logits[part], reference[part], following[part], first + start
            return work(Places(*places, self._scratch()))

        starts = range(0, len(following), step)
        is_busy = block.at_once == self._threads
        return list(map(some, starts) if is_busy else self._working.map(some, starts))

    def _scratch(self) -> rows.Scratch:
        if not hasattr(self._own, "scratch"):
            self._own.scratch = rows.Scratch(self._vocabulary_size)
        scratch: rows.Scratch = self._own.scratch
        return scratch
