"""Models over the same block, piece by piece: what is asked of logits is asked at once, and none are kept."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from native.errors import LlamaError
from native.score import rows
from native.score.models import Piece, Reader, models_at_once, pieces

T = TypeVar("T")
Work = Callable[[list[rows.Rows], NDArray[np.intp], int, rows.Scratch], T]
"""Gets the logits of each model in the same few places, the tokens that follow there, and which of the scored
tokens the first of these is."""


class ModelNotFinite(Exception):
    """Logits of model `model`, counted from 0, are no numbers."""

    def __init__(self, model: int) -> None:
        super().__init__(model)
        self.model = model


class ModelFailed(LlamaError):
    """llama.cpp could not decode with model `model`, counted from 0."""

    def __init__(self, model: int, message: str) -> None:
        super().__init__(message)
        self.model = model


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """One value for each scored token, natural logarithms; of `kld_at` one for each temperature: the sum."""

    nll: NDArray[np.float64]
    margin: NDArray[np.float32]
    entropy: NDArray[np.float32]
    kld_at: NDArray[np.float64]


class Workers:
    """`threads` processor threads, shared by models that decode beside each other; then by what works on
    their logits, while llama.cpp rests."""

    def __init__(self, threads: int, vocabulary_size: int) -> None:
        self._threads = threads
        self._vocabulary_size = vocabulary_size
        self._own = threading.local()
        self._reading: dict[int, ThreadPoolExecutor] = {}
        self._seconds: dict[int, float] = {}
        self._pool = ThreadPoolExecutor(threads)

    def over(
        self, readers: Sequence[Reader], tokens: Sequence[int], first_scored: int, work: Work[T]
    ) -> list[T]:
        """What `work` makes of all scored tokens, a few at a time. Raises ModelFailed."""
        following = np.asarray(tokens, np.intp)
        found: list[T] = []
        read = self._together(readers)
        for piece in pieces(len(tokens), first_scored - 1, readers[0].most_outputs):
            logits = read(tokens, piece)
            if piece.outputs:
                start = piece.end - piece.outputs + 1
                scored = following[start : piece.end + 1]
                # Nothing follows the last token of all; it is read to fill its tile.
                logits = [each[: len(scored)] for each in logits]
                found.extend(self._spread(logits, scored, start - first_scored, work))
        return found

    def _together(self, readers: Sequence[Reader]) -> Callable[[Sequence[int], Piece], list[rows.Rows]]:
        # A GPU has its own order.
        on_gpu = any(reader.is_on_gpu for reader in readers)
        at_once = 1 if on_gpu else models_at_once(len(readers), self._threads)
        for reader in readers:
            reader.use_threads(self._threads // at_once)
        # Kept: OpenMP makes a team of threads for each thread that calls llama.cpp.
        pool = self._reading.setdefault(at_once, ThreadPoolExecutor(at_once))

        def read(tokens: Sequence[int], piece: Piece) -> list[rows.Rows]:
            def one(model: int) -> rows.Rows:
                started = time.perf_counter()
                logits = _read(model, readers[model], tokens, piece)
                self._seconds[model] = time.perf_counter() - started
                return logits

            # The slowest first, so that none is left to be waited for at the end.
            order = sorted(range(len(readers)), key=lambda model: -self._seconds.get(model, 0.0))
            found = dict(zip(order, pool.map(one, order), strict=True))
            return [found[model] for model in range(len(readers))]

        return read

    def _spread(
        self, logits: list[rows.Rows], following: NDArray[np.intp], first: int, work: Work[T]
    ) -> Iterator[T]:
        step = rows.rows_at_once(self._vocabulary_size)

        def some(start: int) -> T:
            part = slice(start, start + step)
            return work([each[part] for each in logits], following[part], first + start, self._scratch())

        return self._pool.map(some, range(0, len(following), step))

    def _scratch(self) -> rows.Scratch:
        if not hasattr(self._own, "scratch"):
            self._own.scratch = rows.Scratch(self._vocabulary_size)
        scratch: rows.Scratch = self._own.scratch
        return scratch


@dataclass(frozen=True, slots=True)
class Lockstep:
    """The first model is the reference. `keep` gets its distributions, by number of the scored token."""

    temperatures: tuple[float, ...]
    keep: Callable[[int, rows.Reference, rows.Scratch], None] | None = None

    def score(
        self, workers: Workers, readers: Sequence[Reader], tokens: Sequence[int], first_scored: int
    ) -> tuple[ReferenceScores, list[rows.Candidate]]:
        """Raises ModelFailed or ModelNotFinite."""
        parts = workers.over(readers, tokens, first_scored, self._some)
        references = [reference for reference, _ in parts]
        candidates = zip(*(part for _, part in parts), strict=True)
        return _joined_reference(references), [joined(list(each)) for each in candidates]

    def _some(
        self, logits: list[rows.Rows], following: NDArray[np.intp], first: int, scratch: rows.Scratch
    ) -> tuple[ReferenceScores, list[rows.Candidate]]:
        with naming(0):
            against = rows.reference(logits[0], following, scratch)
        candidates = []
        for model, own in enumerate(logits[1:], 1):
            with naming(model):
                candidates.append(rows.candidate(own, following, against, scratch))
        if self.keep:
            self.keep(first, against, scratch)
        kld_at = rows.divergence_at(self.temperatures, against, scratch)
        entropy = against.entropy.astype(np.float32)
        return ReferenceScores(against.nll, against.margin, entropy, kld_at), candidates


def _read(model: int, reader: Reader, tokens: Sequence[int], piece: Piece) -> rows.Rows:
    try:
        return reader.read(tokens, piece)
    except LlamaError as error:
        raise ModelFailed(model, str(error)) from error


@contextlib.contextmanager
def naming(model: int) -> Iterator[None]:
    """NotFinite becomes ModelNotFinite."""
    try:
        yield
    except rows.NotFinite as error:
        raise ModelNotFinite(model) from error


def joined(parts: Sequence[rows.Candidate]) -> rows.Candidate:
    return rows.Candidate(
        np.concatenate([part.nll for part in parts]),
        np.concatenate([part.kld for part in parts]),
        np.concatenate([part.same_top for part in parts]),
    )


def _joined_reference(parts: Sequence[ReferenceScores]) -> ReferenceScores:
    return ReferenceScores(
        np.concatenate([part.nll for part in parts]),
        np.concatenate([part.margin for part in parts]),
        np.concatenate([part.entropy for part in parts]),
        np.sum([part.kld_at for part in parts], axis=0),
    )
