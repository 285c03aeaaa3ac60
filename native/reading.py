"""Long prompts apart: one sequence in a context of its own, which a thread decodes.

A batch of a prompt is decoded for seconds, in which its context can do nothing else. Another one can: between
two operations of its graph the decode pauses, and goes on when the other context has decoded.

And where heads are short, a context without flash attention decodes a token up to 2.8 times as fast, and
takes 1.1 to 1.3 times as long for a prompt of 2,000. So what is apart is read with it, whatever the home has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

from native import state
from native.binding import api
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.turning import moved

LEAST_TOKENS = 512
"""Of fewer, making a context and moving the state takes the time that is won."""
# Of a state that comes home: so much, or this part of the model's size. It is in memory twice meanwhile, as
# it was and as it will be.
_MOST_BYTES, _MOST_PART = 128 * 2**20, 1 / 16
_CACHE_STEP_TOKENS = 256
_OMP_PAUSE_SOFT = 1


def can_read(model: Model, options: ContextOptions) -> bool:
    """Whether the states of this cache can be moved, and flash attention has fast kernels for its types.

    Recurrent states cannot. Without OpenMP, compute threads that pause would keep their processors busy.
    """
    has_openmp = b"OPENMP = 1" in api.llama_print_system_info()
    return has_openmp and not model.is_recurrent and options.kv_type_k == options.kv_type_v


def most_tokens(model: Model, options: ContextOptions) -> int:
    """How much of a text can be apart."""
    most_bytes = max(_MOST_BYTES, int(model.size_bytes * _MOST_PART))
    return min(options.context_length, most_bytes // _token_bytes(model, options))


def memory_bytes(model: Model, options: ContextOptions) -> int:
    """What the longest text takes that is not in the log of a load: its state, twice."""
    return 2 * most_tokens(model, options) * _token_bytes(model, options)


def _token_bytes(model: Model, options: ContextOptions) -> int:
    return model.kv_numbers * (4 if options.kv_type_k == "f32" else 2)


class Reading(Context):
    """The first tokens of a sequence of `home`, with room for `length`; as sequence 0 here."""

    def __init__(self, home: Context, sequence: int, position: int, length: int) -> None:
        """`home` has read the sequence up to `position`. Raises LlamaError."""
        there = state.save(home, sequence) if position else None
        super().__init__(home.model, _options(home, length))
        self._home, self._sequence = home, sequence
        self._is_turned = home.options.flash_attention is False
        if there and not _move(there, self, 0, is_turned=self._is_turned):
            self.close()
            raise LlamaError("llama.cpp refuses the moved state")
        self._may_compute, self._rests, self._is_over = Event(), Event(), Event()
        self._may_compute.set()
        self._is_over.set()
        self._is_stopped = False
        self._error: LlamaError | None = None
        self.stop_when(self._rest)

    @property
    def is_over(self) -> bool:
        """Whether nothing is being decoded."""
        return self._is_over.is_set()

    def start(self) -> None:
        """Begin to decode `batch`, with as many threads as the home has now."""
        _end_compute_threads()
        self.set_threads(self._home.threads, self._home.prefill_threads)
        self._is_over.clear()
        self._rests.clear()
        Thread(target=self._run, name="reading", daemon=True).start()

    def wait(self, timeout_s: float) -> None:
        """Until the decode is over, but no longer."""
        self._is_over.wait(timeout_s)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is computed here until the end of the block. Begins within one operation of the graph."""
        if self.is_over:
            yield
            return
        self._may_compute.clear()
        self._rests.wait()
        try:
            yield
        finally:
            self._rests.clear()
            self._may_compute.set()

    def finish(self) -> None:
        """Wait for the end of the decode. Raises the LlamaError it ended with."""
        self._is_over.wait()
        if self._error is not None:
            raise self._error

    def stop(self, position: int) -> bool:
        """End the decode where it is; what it had read from `position` on goes. False if all goes: a sliding
        window may have let go of what is needed."""
        self._is_stopped = True
        self.finish()
        self._is_stopped = False
        return self.keep_prefix(0, position)

    def move_home(self) -> bool:
        """Give the home what was read, and close this. False if it refuses, which leaves its sequence
        undefined. Takes 1.5 ms a MB; turned, twice that."""
        there = state.save(self, 0)
        self.close()
        return _move(there, self._home, self._sequence, is_turned=self._is_turned)

    def _run(self) -> None:
        try:
            self.decode()
        except LlamaError as error:
            self._error = error
        finally:
            self._is_over.set()
            self._rests.set()

    def _rest(self) -> bool:
        if not self._may_compute.is_set():
            self._rests.set()
            self._may_compute.wait()
        return self._is_stopped


def _end_compute_threads() -> None:
    """Those of the calling thread. GNU's OpenMP counts them while they wait for their next decode. Where that
    makes more than there are processors, all sleep at the end of each operation instead of spinning, and
    reading takes up to 1.1 times as long. OpenMP before 5.0 cannot."""
    if (pause := getattr(api._lib, "omp_pause_resource_all", None)) is not None:
        pause(_OMP_PAUSE_SOFT)


def _move(there: bytearray, context: Context, sequence: int, *, is_turned: bool) -> bool:
    try:
        return state.restore(context, sequence, moved(there, context.options.sequences, is_turned=is_turned))
    except ValueError as error:
        sys.stderr.write(f"what was read of a prompt cannot be moved: {error}\n")
        return False


def _options(home: Context, length: int) -> ContextOptions:
    options = home.options
    return replace(
        options,
        context_length=-(-length // _CACHE_STEP_TOKENS) * _CACHE_STEP_TOKENS,
        sequences=1,
        threads=home.threads,
        prefill_threads=home.prefill_threads,
        draft_tokens=0,
        flash_attention=True if options.flash_attention is False else options.flash_attention,
        micro_batch_tokens=None,
        output_tokens=1,
    )
