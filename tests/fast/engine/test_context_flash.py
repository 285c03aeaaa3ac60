"""Measuring flash attention, and what a load does with the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from native.attention import Record, Verdict
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.offload import Buffer, buffers, flash_attention
from runner.protocol import Load, LoadProgressed, Ready
from runner.worker.flash_trial import measure
from runner.worker.loading import Loaded, load
from tests.tiny_gguf import Shape, write_model

OPTIONS = ContextOptions(512, 2, 256, 1, 1)
# Of each kind: filling, chunks of a prompt, tokens of one stream and of two.
DECODES = 2 * (512 // 128 + 4 + 12 + 12)


def verdict_of(model: Model, is_wanted: object = lambda: False) -> tuple[Verdict, int]:
    """The verdict, and how many decodes it took."""
    trial = measure(model, OPTIONS, is_wanted)  # type: ignore[arg-type]
    decodes = 0
    while True:
        try:
            next(trial)
            decodes += 1
        except StopIteration as end:
            return end.value, decodes


def test_both_kinds_are_measured_a_decode_at_a_time(model: Model) -> None:
    verdict, decodes = verdict_of(model)
    assert verdict.on_s > 0 and verdict.off_s > 0
    assert decodes == DECODES


def test_who_waits_is_not_kept_waiting_and_the_decode_is_made_again(model: Model) -> None:
    asked = 0

    def is_wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked in (5, 6, 300)

    verdict, decodes = verdict_of(model, is_wanted)
    assert verdict.on_s > 0 and verdict.off_s > 0
    assert 0 < decodes - DECODES <= 3


def test_where_only_one_kind_can_be_had_none_stays_in_memory(model: Model) -> None:
    sizes_bytes = []
    for _ in range(20):
        with pytest.raises(LlamaError):
            next(measure(model, replace(OPTIONS, kv_type_v="q8_0"), lambda: False))
        sizes_bytes.append(psutil.Process().memory_info().vms)
    # A context takes 1 MB and more.
    assert sizes_bytes[-1] - sizes_bytes[9] < 5 * 2**20


@pytest.mark.parametrize(("off_s", "is_on"), [(8.0, False), (9.8, True), (10.0, True), (12.0, True)])
def test_off_must_be_clearly_faster(off_s: float, is_on: bool) -> None:
    assert Verdict(10.0, off_s).flash_attention is is_on


def test_a_record_counts_under_its_conditions_only_and_if_it_is_whole(tmp_path: Path) -> None:
    record = Record(tmp_path / "new", Path("sha256-abc"), "one processor")
    assert record.read() is None
    record.write(Verdict(2.0, 1.0))
    assert record.read() == Verdict(2.0, 1.0)
    assert Record(tmp_path / "new", Path("sha256-abc"), "another processor").read() is None
    assert Record(tmp_path / "new", Path("sha256-other"), "one processor").read() is None
    (file,) = (tmp_path / "new").iterdir()
    other = Record(tmp_path / "new", Path("sha256-abc"), "another processor")
    other.write(Verdict(1.0, 2.0))
    assert (record.read(), other.read()) == (Verdict(2.0, 1.0), Verdict(1.0, 2.0))
    for broken in ("{", "[]", '{"conditions": "one processor", "on_s": null}', "7"):
        file.write_text(broken)
        assert record.read() is None


def loaded(tiny_model: Path, **settings: object) -> Loaded:
    command = Load(str(tiny_model), 256, 2, 0, 1, 1, **settings)  # type: ignore[arg-type]
    events: list[object] = []
    result = load(command, events.append)
    assert all(isinstance(event, LoadProgressed) for event in events)
    result.close()
    return result


@pytest.mark.parametrize(("head_length", "is_on"), [(64, False), (128, True)])
def test_the_first_load_goes_by_the_length_of_heads(tmp_path: Path, head_length: int, is_on: bool) -> None:
    path = write_model(tmp_path / "model.gguf", Shape(width=2 * head_length, heads=2))
    first = loaded(path, measurements_path=str(tmp_path))
    assert first.ready.flash_attention is is_on and first.flash_record
    word = "on" if is_on else "off"
    assert first.ready.notes == (f"flash attention {word} until it is measured, when nobody waits",)


def test_later_loads_follow_the_record(tiny_model: Path, tmp_path: Path) -> None:
    first = loaded(tiny_model, measurements_path=str(tmp_path))
    assert first.flash_record
    first.flash_record.write(Verdict(2.0, 1.0))
    second = loaded(tiny_model, measurements_path=str(tmp_path))
    assert second.ready.flash_attention is False and second.flash_record is None
    assert second.ready.notes == (
        "flash attention off: 512 tokens of prompt and 128 of answer take 2.00 s with it, 1.00 s without",
    )
    first.flash_record.write(Verdict(1.0, 2.0))
    assert loaded(tiny_model, measurements_path=str(tmp_path)).ready.flash_attention is True
    # Another number of threads is another machine.
    command = Load(str(tiny_model), 256, 2, 0, 2, 2, measurements_path=str(tmp_path))
    third = load(command, lambda _event: None)
    assert third.flash_record
    third.close()


def test_settings_decide_where_they_say_so(tiny_model: Path, tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert loaded(tiny_model, flash_attention="off", measurements_path=folder).ready.flash_attention is False
    assert loaded(tiny_model, flash_attention="on").ready.flash_attention is True
    quantized = loaded(tiny_model, kv_type_v="q8_0", measurements_path=folder)
    assert quantized.ready.flash_attention is True and quantized.flash_record is None


def test_what_a_worker_says_of_itself(tiny_model: Path) -> None:
    ready: Ready = loaded(tiny_model).ready
    assert ready.can_shift and ready.devices == "CPU 5 MiB"
    assert ready.memory_bytes and ready.memory_bytes > 5 * 2**20
    assert "<|end|>" in ready.control_tokens


def test_without_flash_attention_the_scores_of_a_step_stay_in_bounds(model: Model) -> None:
    log = Log()
    for micro in (None, 64):
        options = ContextOptions(8192, 1, 512, 1, 1, flash_attention=False, micro_batch_tokens=micro)
        Context(model, options).close()
    whole, part = (b.size_bytes for b in buffers(log.infos) if b.kind == "compute")
    assert part < whole / 4


def test_the_log_of_a_gpu_that_lacks_a_kernel_is_understood() -> None:
    lines = [
        "llama_context: flash_attn            = auto",
        "llama_kv_cache:      CUDA0 KV buffer size =   360.00 MiB",
        "sched_reserve:  CUDA_Host compute buffer size =     0.50 MiB",
        "resolve_fused_ops: layer 0 is assigned to device CUDA0 but Flash Attention is assigned to device CPU"
        " (usually due to missing support)",
        "resolve_fused_ops: Flash Attention not supported, set to disabled",
    ]
    assert flash_attention(lines) is False
    assert buffers(lines) == [Buffer("CUDA0", "KV", 360 * 2**20), Buffer("CPU", "compute", 2**19)]
    assert [buffer.is_on_gpu for buffer in buffers(lines)] == [True, False]
