"""From a `Load` command to a context that can decode, and to what the daemon should know of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from native import head, offload
from native.attention import (
    LEAST_MICRO_BATCH_TOKENS,
    Record,
    Verdict,
    conditions,
    is_open,
    is_plain_first,
    plain_micro_batch_tokens,
)
from native.fresh_cache import CacheLog
from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.reading import can_read, memory_bytes, most_tokens
from runner.protocol import HEAD_ROLLBACK_TOKENS, Event, Load, LoadProgressed, Ready

if TYPE_CHECKING:
    from runner.worker.drafting.drafter import Drafter

BATCH_TOKENS = 512
"""Long enough for llama.cpp to read a prompt at full speed, short enough to answer a cancel."""

_PROGRESS_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Loaded:
    """`apart_tokens` of a prompt can be read apart. `flash_record` is where a verdict belongs that has still
    to be measured."""

    context: Context
    ready: Ready
    apart_tokens: int = 0
    drafter: Drafter | None = None
    flash_record: Record | None = None

    def close(self) -> None:
        self.context.model.close()


@dataclass(frozen=True, slots=True)
class _Attention:
    """What was decided about flash attention; None leaves it to llama.cpp."""

    is_flash: bool | None = None
    note: str | None = None
    record: Record | None = None


def load(command: Load, put: Callable[[Event], None]) -> Loaded:
    """`put` gets the progress. Raises LlamaError with llama.cpp's words."""
    started, log = time.perf_counter(), CacheLog()
    with_head = command.has_head and head.can_run()
    path, progress = Path(command.model_path), _progress(put)
    model = Model(path, command.gpu_layers, progress, log, with_head=with_head, in_memory=True)
    control_tokens: list[str] = []
    # A look at every token of the vocabulary, while llama.cpp allocates the context.
    reading = threading.Thread(target=lambda: control_tokens.extend(model.control_tokens()))
    reading.start()
    attention, drafter, apart_tokens = _Attention(), None, 0
    if command.is_embedding:
        from native.embedding import EmbeddingContext

        texts, threads = command.slots, (command.threads, command.prefill_threads)
        context: Context = EmbeddingContext(model, command.context_length, texts, *threads)
    else:
        attention = _attention(model, command)
        options = _options(model, command, attention.is_flash, with_head)
        context = Context(model, options)
        if command.gpu_layers == 0 and not with_head and can_read(model, options):
            apart_tokens = most_tokens(model, options)
    log_lines = [*log.infos, *log.errors]
    if not command.is_embedding:
        drafter = _drafter(context, command, log, with_head)
    reading.join()
    unlisted_bytes = memory_bytes(model, context.options) if apart_tokens else context.unlisted_bytes
    ready = Ready(
        context_length=command.context_length,
        slots=command.slots,
        threads=command.threads,
        devices=offload.placed_on(log_lines),
        load_s=time.perf_counter() - started,
        bos_text=model.token_text(model.bos_token),
        eos_text=model.token_text(model.eos_token),
        control_tokens=tuple(control_tokens),
        memory_bytes=_memory_bytes(offload.buffers(log.infos)) + unlisted_bytes,
        flash_attention=offload.flash_attention(log_lines),
        can_shift=not command.is_embedding and context.can_shift,
        notes=tuple(note for note in (attention.note, _head_note(command, with_head)) if note),
    )
    return Loaded(context, ready, apart_tokens, drafter, attention.record)


def _progress(put: Callable[[Event], None]) -> Callable[[float], None]:
    reported = 0.0

    def report(fraction: float) -> None:
        nonlocal reported
        if fraction - reported >= _PROGRESS_STEP:
            reported = fraction
            put(LoadProgressed(fraction))

    return report


def _options(model: Model, command: Load, is_flash: bool | None, with_head: bool) -> ContextOptions:
    from runner.worker.speculate import draft_tokens

    rollback_tokens = HEAD_ROLLBACK_TOKENS if with_head and model.is_recurrent else 0
    return ContextOptions(
        command.context_length,
        command.slots,
        BATCH_TOKENS,
        command.threads,
        command.prefill_threads,
        draft_tokens=draft_tokens(model, command.slots, rollback_tokens) if command.speculation else 0,
        kv_type_k=command.kv_type_k,
        kv_type_v=command.kv_type_v,
        flash_attention=is_flash,
        micro_batch_tokens=_micro_batch_tokens(model, command) if is_flash is False else None,
        rollback_tokens=rollback_tokens,
    )


def _drafter(context: Context, command: Load, log: Log, with_head: bool) -> Drafter | None:
    if command.draft_path:
        from runner.worker.drafting.pairing import load_draft

        path = Path(command.draft_path)
        return load_draft(path, command.gpu_layers, context.model, context.options, log)
    if with_head:
        from runner.worker.drafting.head import Head

        return Head(context)
    return None


def _head_note(command: Load, with_head: bool) -> str | None:
    if not command.has_head:
        return None
    if not with_head:
        return "drafts: this llama.cpp cannot run the model's own head"
    return "drafts: n-grams and the model's own head"


def _attention(model: Model, command: Load) -> _Attention:
    """As the settings say; on CPUs as it was measured; else llama.cpp, which looks whether the device can."""
    if command.flash_attention != "auto":
        return _Attention(command.flash_attention == "on")
    if not is_open(command.gpu_layers, command.kv_type_v) or command.measurements_path is None:
        return _Attention()
    if _micro_batch_tokens(model, command) < LEAST_MICRO_BATCH_TOKENS:
        note = "flash attention: scores of this context would take too much memory without it"
        return _Attention(note=note)
    record = Record(Path(command.measurements_path), Path(command.model_path), _conditions(command))
    verdict: Verdict | None = record.read()
    if verdict is None:
        is_plain = is_plain_first(model.head_length)
        note = f"flash attention {'off' if is_plain else 'on'} until it is measured, when nobody waits"
        return _Attention(False if is_plain else None, note, record)
    return _Attention(None if verdict.flash_attention else False, str(verdict))


def _micro_batch_tokens(model: Model, command: Load) -> int:
    return plain_micro_batch_tokens(model.head_count, command.context_length, BATCH_TOKENS)


def _conditions(command: Load) -> str:
    from native.devices import devices

    processors = [device.description for device in devices() if device.kind == "cpu"]
    return conditions(processors, command.threads, command.kv_type_k, command.kv_type_v)


def _memory_bytes(buffers: list[offload.Buffer]) -> int:
    """What the system gave to this process, with the weights it maps; what is on GPUs; and the buffers that
    nothing has been written to before the first step."""
    import psutil

    resident = int(psutil.Process().memory_info().rss)
    return resident + sum(b.size_bytes for b in buffers if b.is_on_gpu or b.kind in ("compute", "output"))
