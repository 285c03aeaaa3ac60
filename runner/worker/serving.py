"""The life of a worker whose model is loaded: commands between steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from native.attention import Record
from native.embedding import EmbeddingContext
from native.errors import LlamaError
from native.llama import Context
from native.load import LOOK_S
from native.sampler import hasten
from native.threads import Threads
from runner.protocol import Cancel, Command, Embed, Generate, Load, ProtocolError, Shutdown
from runner.worker.apart import Apart
from runner.worker.embedding import Embedder
from runner.worker.engine import Engine
from runner.worker.flash_trial import measure
from runner.worker.frames import Frames
from runner.worker.loading import Loaded
from runner.worker.pipes import Inbox, Outbox
from runner.worker.prefix.caches import PrefixLimits
from runner.worker.texts import Texts

# llama.cpp makes a record for each token of the vocabulary, 50,000 in 0.07 ms; a shortlist takes 0.2 ms of
# 50,000 and 0.3 of 260,000.
_MANY_TOKENS = 200_000


def serve(command: Load, loaded: Loaded, inbox: Inbox, outbox: Outbox) -> None:
    """Take commands between steps until told to stop. With nothing else to do: measure, then rest."""
    engine, threads = _engine(command, loaded), Threads(loaded.context)
    texts = Texts(engine, inbox)
    idle_work, frames = _idle_work(engine, loaded, inbox, threads), Frames()
    while True:
        rest_s = 0.0 if not engine.is_idle else None if texts.is_reading else next(idle_work)
        if rest_s is None:
            threads.adapt(goes_on=False)
        waiting = inbox.take(rest_s)
        while waiting is not None:
            if isinstance(waiting, Shutdown):
                engine.close()
                texts.close()
                return
            if callable(waiting):
                waiting()
            else:
                _obey(engine, texts, waiting)
            waiting = inbox.take()
        if not engine.is_idle:
            threads.adapt()
            # Looking for commands while a prompt is read apart is no sign of life: the daemon ends who hangs.
            if (frame := frames.due(engine.step(), time.monotonic())) is not None:
                outbox.put(frame)


def _engine(command: Load, loaded: Loaded) -> Engine | Embedder:
    if isinstance(loaded.context, EmbeddingContext):
        return Embedder(loaded.context)
    prefixes = PrefixLimits(command.prefix_ram_bytes, command.prefix_disk_path, command.prefix_disk_bytes)
    apart = Apart(loaded.context, loaded.apart_tokens)
    return Engine(loaded.context, command.prefill_step_s, prefixes, loaded.drafter, apart)


def _idle_work(
    engine: Engine | Embedder, loaded: Loaded, inbox: Inbox, threads: Threads
) -> Iterator[float | None]:
    """At most one decode's worth of work for each time it is asked. How many seconds to rest then; None
    is until a command comes."""
    for _ in loaded.context.model.use_huge_pages():
        yield 0.0
    if isinstance(engine, Embedder) or isinstance(loaded.context, EmbeddingContext):
        while True:
            yield None
    while engine.use_idle_time():
        yield 0.0
    if loaded.context.model.vocabulary_size > _MANY_TOKENS:
        hasten()
    if loaded.flash_record is not None:
        yield from _flash_trial(loaded.context, loaded.flash_record, inbox, threads)
    while True:
        yield 0.0 if engine.use_idle_time() else None


def _flash_trial(context: Context, record: Record, inbox: Inbox, threads: Threads) -> Iterator[float]:
    """Only while others leave room: it takes seconds that another model's streams would miss, and would
    measure those."""
    trial = measure(context.model, context.options, lambda: inbox.has_command)
    try:
        while True:
            threads.adapt()
            if threads.has_room:
                next(trial)
            yield 0.0 if threads.has_room else LOOK_S
    except StopIteration as end:
        record.write(end.value)
        sys.stderr.write(f"measured for the next load: {end.value}\n")
    except LlamaError as error:
        # No memory for a second and third context: the loaded one is not touched by that.
        sys.stderr.write(f"flash attention cannot be measured: {error}\n")


def _obey(engine: Engine | Embedder, texts: Texts, command: Command) -> None:
    match engine, command:
        case Engine(), Generate():
            texts.submit(command)
        case Embedder(), Embed():
            texts.submit(command)
        case _, Cancel():
            texts.cancel(command.request_id)
        case _:
            raise ProtocolError(f"a worker loaded like this cannot {type(command).__name__.lower()}")
