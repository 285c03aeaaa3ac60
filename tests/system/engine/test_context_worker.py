"""What a worker measures while nobody waits, and what it needs beside the model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.offload import buffers
from runner.protocol import Cancel, Generate, Ready, Sampling
from tests.system.engine.test_worker import WorkerProcess

OWN_BYTES = 80 * 2**20
"""What a worker may need beyond weights, KV cache and compute buffers."""


def ready(worker: WorkerProcess) -> Ready:
    event = worker.wait_for(Ready)
    assert isinstance(event, Ready)
    return event


def test_flash_attention_is_measured_once_and_counts_from_the_next_load_on(
    tiny_model: Path, tmp_path: Path
) -> None:
    first = WorkerProcess(tiny_model, measurements=tmp_path / "measured")
    assert ready(first).notes == ("flash attention off until it is measured, when nobody waits",)
    # A request in the middle of it is answered, and the measurement goes on.
    first.send(Generate("a", ("The list",), Sampling(temperature=0, max_tokens=8)))
    assert first.finish("a")[1].completion_tokens == 8
    first.wait_for_words(b"measured for the next load: flash attention o")
    first.close()
    second = WorkerProcess(tiny_model, measurements=tmp_path / "measured")
    said = ready(second)
    word = "on" if said.flash_attention else "off"
    assert said.notes[0].startswith(f"flash attention {word}: 512 tokens of prompt and 128 of answer take")
    second.close()


def test_what_takes_seconds_is_measured_when_the_machine_is_free(tiny_model: Path, tmp_path: Path) -> None:
    processors = psutil.cpu_count() or 1
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processors)]
    try:
        worker = WorkerProcess(
            tiny_model, measurements=tmp_path / "m", context_length=8192, threads=processors
        )
        worker.send(Generate("a", ("The list",), Sampling(temperature=0, max_tokens=8000, ignore_eos=True)))
        fewer = f"compute threads: {processors} to ".encode()
        worker.wait_for_words(fewer)
        worker.send(Cancel("a"))
        worker.finish("a")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    worker.wait_for_words(b"measured for the next load")
    worker.close()
    said = [line for line in worker.errors if line.startswith((b"compute threads", b"measured"))]
    assert said[0].startswith(fewer) and said[-1].startswith(b"measured")
    assert int(said[-2].split()[-1]) >= 0.75 * processors


@pytest.mark.parametrize("used", [False, True])
def test_a_worker_needs_little_beside_the_model(tiny_model: Path, used: bool) -> None:
    log = Log()
    model = Model(tiny_model, 0, log=log)
    Context(model, ContextOptions(512, 4, 512, 1, 1)).close()
    model.close()
    planned_bytes = sum(buffer.size_bytes for buffer in buffers(log.infos))
    worker = WorkerProcess(tiny_model)
    reported_bytes = ready(worker).memory_bytes
    if used:
        worker.send(Generate("a", ("The list",), Sampling(temperature=0.8, max_tokens=32)))
        worker.finish("a")
    held_bytes = psutil.Process(worker.process.pid).memory_info().rss
    worker.close()
    assert held_bytes - planned_bytes < OWN_BYTES
    assert reported_bytes and abs(reported_bytes - held_bytes) < 24 * 2**20
