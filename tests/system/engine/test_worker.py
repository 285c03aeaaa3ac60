"""A worker as a process: what the daemon relies on."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from native import child
from native.load import sample
from runner.protocol import (
    Cancel,
    Command,
    Event,
    Finished,
    Generate,
    Load,
    LoadFailed,
    Ready,
    Sampling,
    Shutdown,
    Stepped,
    decode,
    encode,
)
from tests.huge_pages import gives_huge_pages, huge_bytes


class WorkerProcess:
    """A worker on real pipes, as `runner.process` starts it."""

    def __init__(
        self,
        model: Path,
        draft: Path | None = None,
        measurements: Path | None = None,
        *,
        has_head: bool = False,
        context_length: int = 512,
        threads: int = 1,
        prefill_step_s: float = 64.0,
    ) -> None:
        self.process = subprocess.Popen(
            child.command("runner.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child.environment(),
        )
        self.errors: list[bytes] = []
        self._heard = threading.Condition()
        self._drain = threading.Thread(target=self._drain_errors)
        self._drain.start()
        settings = {"draft_path": draft, "measurements_path": measurements}
        paths = {name: str(path) for name, path in settings.items() if path}
        shape = (str(model), context_length, 4, 0, threads, threads, prefill_step_s)
        self.send(Load(*shape, has_head=has_head, **paths))  # type: ignore[arg-type]

    def _drain_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._heard:
                self.errors.append(line)
                self._heard.notify()

    def wait_for_words(self, words: bytes) -> None:
        with self._heard:
            assert self._heard.wait_for(lambda: any(words in line for line in self.errors), 60), self.errors

    def send(self, command: Command) -> None:
        assert self.process.stdin
        self.process.stdin.write(encode(command))
        self.process.stdin.flush()

    def events(self) -> Iterator[Event]:
        assert self.process.stdout
        for line in self.process.stdout:
            event = decode(line)
            assert not isinstance(event, Command)
            yield event

    def wait_for(self, kind: type[Event]) -> Event:
        return next(event for event in self.events() if isinstance(event, kind))

    def finish(self, request_id: str) -> tuple[str, Finished]:
        text = ""
        for event in self.events():
            if isinstance(event, Stepped):
                text += "".join(d.text for d in event.deltas if d.request_id == request_id)
                for finished in event.finished:
                    if finished.request_id == request_id:
                        return text, finished
        raise AssertionError("the worker ended before the request")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._drain.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()


@pytest.fixture
def worker(tiny_model: Path) -> Iterator[WorkerProcess]:
    running = WorkerProcess(tiny_model)
    yield running
    running.close()


@pytest.fixture
def long_worker(smollm2: Path) -> Iterator[WorkerProcess]:
    running = WorkerProcess(smollm2, context_length=2048, prefill_step_s=0.1)
    yield running
    running.close()


def test_it_loads_generates_and_ends_when_told(worker: WorkerProcess) -> None:
    ready = worker.wait_for(Ready)
    assert isinstance(ready, Ready)
    assert (ready.context_length, ready.slots, ready.devices) == (512, 4, "CPU 13 MiB")
    worker.send(Generate("a", ("The list",), Sampling(temperature=0, max_tokens=8)))
    text, finished = worker.finish("a")
    assert text and finished.completion_tokens == 8
    worker.send(Shutdown())
    assert worker.process.wait(60) == 0


def test_ctrl_c_in_the_daemons_terminal_is_the_daemons_affair(worker: WorkerProcess) -> None:
    worker.wait_for(Ready)
    worker.process.send_signal(signal.SIGINT)
    worker.send(Generate("a", ("The list",), Sampling(temperature=0, max_tokens=64, ignore_eos=True)))
    worker.wait_for(Stepped)
    worker.process.send_signal(signal.SIGINT)
    assert worker.finish("a")[1].completion_tokens == 64
    worker.send(Shutdown())
    assert worker.process.wait(60) == 0


def test_while_nobody_waits_weights_move_to_huge_pages(long_worker: WorkerProcess) -> None:
    long_worker.wait_for(Ready)
    wanted_bytes = gives_huge_pages() * 80 * 2**20
    until_s = time.monotonic() + 60
    while huge_bytes(long_worker.process.pid) < wanted_bytes:
        assert time.monotonic() < until_s
    long_worker.send(Generate("a", ("The list",), Sampling(temperature=0, max_tokens=8)))
    assert long_worker.finish("a")[1].completion_tokens == 8


def test_what_a_client_does_between_its_requests_takes_no_thread_away(tiny_model: Path) -> None:
    """What other processes do may: where the machine is not this test's own, that can be the reason."""
    threads = psutil.cpu_count() or 1
    before = sample()
    worker = WorkerProcess(tiny_model, threads=threads)
    worker.wait_for(Ready)
    used = []
    for number in range(60):
        worker.send(Generate(str(number), ("Once",), Sampling(max_tokens=1)))
        event = worker.wait_for(Stepped)
        assert isinstance(event, Stepped)
        used.append(event.threads)
        until_s = time.monotonic() + 0.025
        while time.monotonic() < until_s:
            pass
    after, its_times = sample(), psutil.Process(worker.process.pid).cpu_times()
    worker.close()
    others_s = after.others_s - before.others_s - its_times.user - its_times.system
    assert used == [threads] * 60 or others_s > 0.1 * (after.at_s - before.at_s)


def test_a_stream_goes_on_in_the_middle_of_a_long_prompts_batch(long_worker: WorkerProcess) -> None:
    long_worker.wait_for(Ready)
    long_worker.send(Generate("stream", ("Once",), Sampling(temperature=0, max_tokens=None, ignore_eos=True)))
    long_worker.wait_for(Stepped)
    long_worker.send(Generate("long", ("word " * 1200,), Sampling(max_tokens=4)))
    read, streamed = 0, {0: 0, 512: 0}
    for event in long_worker.events():
        assert isinstance(event, Stepped) and (event.deltas or event.finished), "looking is no sign of life"
        read = max([read, *(d.prompt_tokens_done or 0 for d in event.deltas)])
        streamed[read] += sum(delta.request_id == "stream" for delta in event.deltas)
        if read == 512 and streamed[read] == 3:
            long_worker.send(Cancel("long"))
        if event.finished:
            break
    assert [(each.request_id, each.reason) for each in event.finished] == [("long", "cancelled")]
    assert streamed[0] > 5, "of one batch, which takes seconds"
    long_worker.send(Cancel("stream"))
    assert long_worker.finish("stream")[1].reason == "cancelled"


def test_it_ends_at_once_when_the_daemon_is_gone_even_in_mid_decode(worker: WorkerProcess) -> None:
    worker.wait_for(Ready)
    worker.send(Generate("a", ("The list",), Sampling(temperature=1, max_tokens=None)))
    worker.wait_for(Stepped)
    assert worker.process.stdin and worker.process.stdout
    worker.process.stdin.close()
    psutil.Process(worker.process.pid).wait(60)
    # Its last line may have been cut.
    told = [decode(line) for line in worker.process.stdout if line.endswith(b"\n")]
    assert not any(isinstance(event, Stepped) and event.finished for event in told), "it ran on"


def test_it_ends_even_if_nobody_reads_its_last_words(tiny_model: Path) -> None:
    """A killed daemon leaves a broken stderr behind, and writing to it must not keep the worker alive."""
    process = subprocess.Popen(
        child.command("runner.worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child.environment(),
    )
    with process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(encode(Load(str(tiny_model), 512, 1, 0, 1, 1, 64)))
        process.stdin.flush()
        while not isinstance(decode(process.stdout.readline()), Ready):
            pass
        process.stderr.close()
        process.stdin.write(b"no command\n")
        process.stdin.flush()
        assert process.wait(60) == 0


def test_it_ends_when_the_daemon_goes_during_the_load(worker: WorkerProcess) -> None:
    assert worker.process.stdin
    worker.process.stdin.close()
    psutil.Process(worker.process.pid).wait(60)


def test_a_cancel_ends_the_request_and_the_next_one_runs(worker: WorkerProcess) -> None:
    worker.wait_for(Ready)
    worker.send(Generate("a", ("The list",), Sampling(temperature=1, seed=1)))
    worker.wait_for(Stepped)
    worker.send(Cancel("a"))
    assert worker.finish("a")[1].reason in ("cancelled", "stop")
    worker.send(Generate("b", ("The list",), Sampling(temperature=0, max_tokens=4)))
    assert worker.finish("b")[1].reason == "length"


def test_what_llama_cpp_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * 64)
    worker = WorkerProcess(broken)
    failed = worker.wait_for(LoadFailed)
    assert isinstance(failed, LoadFailed)
    assert failed.code == "model_invalid" and "llama.cpp refused the model: " in failed.message
    assert str(tmp_path) not in failed.message, "clients need not know where files are"
    assert worker.process.wait(60) == 1
    worker.close()


def test_a_broken_command_ends_the_worker_and_says_why(worker: WorkerProcess) -> None:
    worker.wait_for(Ready)
    assert worker.process.stdin
    worker.process.stdin.write(b"rm -rf /\n")
    worker.process.stdin.flush()
    assert worker.process.wait(60) == 0
    assert b"".join(worker.errors).count(b"not a message") == 1
