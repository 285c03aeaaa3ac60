"""Several models read the same blocks of tokens, each as fast as it can.

Threads of one model wait for each other in every operation, and models would if all had to have read a piece,
or a block, before any went on. So each model gets few threads, and may be one piece ahead of the others. What
is asked of its logits is asked at once, beside a copy of the reference's; none are kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import psutil
from numpy.typing import NDArray

from native.load import Governor, sample
from native.score import rows
from native.score.failed import failing
from native.score.models import Piece, Reader, models_at_once, pieces

T = TypeVar("T")
# How long other children may answer, or be timed, between two blocks.
_LONGEST_REST_S = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens that are read from an empty cache. Scored are those from `first_scored` on, each by what was
    read before it."""

    index: int
    tokens: Sequence[int]
    first_scored: int


@dataclass(frozen=True, slots=True)
class Places:
    """A few places of a block: a model's logits there, the reference's, the tokens that follow, and which of
    the scored tokens the first of these is. Logits may be overwritten once the work on them returns."""

    block: Block
    logits: rows.Rows
    reference: rows.Rows
    following: NDArray[np.intp]
    first: int
    scratch: rows.Scratch


Work = Callable[[Places], T]


def next_model(
    begun: Sequence[int], finished: Sequence[int], pieces: int, seconds: Sequence[float]
) -> int | None:
    """Whose next piece to read, by how many of all `pieces` each model has begun and finished; the first is
    the reference, whose copies are kept of two pieces. `seconds` is what a piece takes each: the slowest
    comes first, so that none is left to be waited for at the end. None if no model may go on."""
    may_go_on = [
        model
        for model, count in enumerate(begun)
        if count == finished[model] and count < min(pieces, min(finished) + 2, begun[0] + (model == 0))
    ]
    return min(may_go_on, key=lambda model: (begun[model], model != 0, -seconds[model]), default=None)


@dataclass(frozen=True, slots=True)
class _Part:
    """`number` counts the pieces of all blocks."""

    number: int
    block: Block
    piece: Piece

    def following(self) -> NDArray[np.intp]:
        """The tokens behind those that have logits: behind the last of all there is none, it is only read to
        fill its tile."""
        end = self.piece.end + 1
        return np.asarray(self.block.tokens[end - self.piece.outputs : end], np.intp)

    @property
    def first(self) -> int:
        """Of the scored tokens."""
        return self.piece.end - self.piece.outputs + 1 - self.block.first_scored


@dataclass(frozen=True, slots=True)
class _Share:
    """So many models decode at once, with so many threads each."""

    at_once: int
    threads: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """All models' way through all parts; `references` will have the first one's logits of each."""

    readers: Sequence[Reader]
    copies: Sequence[rows.Rows]
    references: Sequence[Future[rows.Rows]]

    def read(self, model: int, part: _Part) -> rows.Rows:
        """Logits of the part, until the model reads the next. Raises Failed."""
        known = self.references[part.number]
        try:
            with failing(model):
                logits = self.readers[model].read(part.block.tokens, part.piece)
            if model == 0:
                copy = self.copies[part.number % 2][: len(logits)]
                np.copyto(copy, logits)
                known.set_result(copy)
            return logits
        except BaseException as error:
            if model == 0:
                known.set_exception(error)
            raise


def _parts(blocks: Sequence[Block], most_outputs: int) -> list[_Part]:
    cut = ((each, pieces(len(each.tokens), each.first_scored - 1, most_outputs)) for each in blocks)
    each_piece = ((block, piece) for block, of_block in cut for piece in of_block)
    return [_Part(number, *each) for number, each in enumerate(each_piece)]


class Workers:
    """At most `threads` processor threads, fewer while others keep the machine busy; shared by models that
    decode beside each other and by what works on their logits."""

    def __init__(self, threads: int, vocabulary_size: int) -> None:
        self._threads = threads
        self._governor = Governor(threads, psutil.cpu_count() or threads, _LONGEST_REST_S)
        self._vocabulary_size = vocabulary_size
        self._own = threading.local()
        # Kept: OpenMP makes a team of threads for each thread that calls llama.cpp.
        self._reading: dict[int, ThreadPoolExecutor] = {}
        self._working = ThreadPoolExecutor(threads)
        self._seconds: dict[int, float] = {}
        self._copies: list[rows.Rows] = []

    def over(
        self, readers: Sequence[Reader], blocks: Sequence[Block], works: Sequence[Work[T]]
    ) -> Iterator[list[list[T]]]:
        """What each reader's work makes of all scored tokens of each block, a few at a time. Raises
        Failed."""
        most = readers[0].most_outputs
        if not self._copies:
            self._copies = [np.empty((most, self._vocabulary_size), np.float32) for _ in range(2)]
        parts = _parts(blocks, most)
        reading = _Reading(readers, self._copies, [Future() for _ in parts])
        begun, finished = [0] * len(works), [0] * len(works)
        made: list[dict[int, list[T]]] = [{} for _ in works]
        running: dict[Future[list[T]], int] = {}
        try:
            for block in blocks:
                numbers = [part.number for part in parts if part.block is block]
                share = self._share(readers)
                while min(finished) <= numbers[-1]:
                    seconds = [self._seconds.get(model, 0.0) for model in range(len(works))]
                    model = next_model(begun, finished, len(parts), seconds)
                    if model is not None and len(running) < share.at_once:
                        pool = self._reading.setdefault(share.at_once, ThreadPoolExecutor(share.at_once))
                        part, work = parts[begun[model]], works[model]
                        running[pool.submit(self._part, reading, model, part, work, share)] = model
                        begun[model] += 1
                        continue
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        model = running.pop(done)
                        made[model][finished[model]] = done.result()
                        finished[model] += 1
                self._governor.observe(sample(), goes_on=False)
                yield [[each for number in numbers for each in results.pop(number)] for results in made]
        finally:
            # Whatever became of one model, the others' contexts are theirs until they are done.
            wait(running)

    def _part(self, reading: _Reading, model: int, part: _Part, work: Work[T], share: _Share) -> list[T]:
        reading.readers[model].set_threads(share.threads, share.threads)
        started = time.perf_counter()
        logits = reading.read(model, part)
        self._seconds[model] = time.perf_counter() - started
        reference, following = reading.references[part.number].result(), part.following()
        step = rows.rows_at_once(self._vocabulary_size)

        def some(start: int) -> T:
            at = slice(start, min(start + step, len(following)))
            places = part.block, logits[at], reference[at], following[at], part.first + start
            return work(Places(*places, self._scratch()))

        starts = range(0, len(following), step)
        is_busy = share.at_once == self._threads
        return list(map(some, starts) if is_busy else self._working.map(some, starts))

    def _share(self, readers: Sequence[Reader]) -> _Share:
        self._threads = self._governor.observe(sample())
        # A GPU has its own order.
        on_gpu = any(reader.is_on_gpu for reader in readers)
        at_once = 1 if on_gpu else models_at_once(len(readers), self._threads)
        return _Share(at_once, self._threads // at_once)

    def _scratch(self) -> rows.Scratch:
        if not hasattr(self._own, "scratch"):
            self._own.scratch = rows.Scratch(self._vocabulary_size)
        scratch: rows.Scratch = self._own.scratch
        return scratch
