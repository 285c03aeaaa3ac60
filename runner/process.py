"""One worker process: its life, and the requests that are in it.

The reader task is the only one that changes the set of requests; it never waits for a consumer.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from modelstore.errors import InvalidModel, NybbleError, UserError
from native import child
from runner import protocol
from runner.errors import AnswerUnread, PromptTooLong, RemoteError, WorkerFailed
from runner.updates import Update, joined

_log = logging.getLogger(__name__)
_STDERR_LINES_KEPT = 20
_SHUTDOWN_GRACE_S = 2.0
_EXIT_GRACE_S = 0.5
# What has waited is joined and encoded in one go, in which the daemon does nothing else: 20 ms of log
# probabilities.
_TAKEN_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a process may do nothing while somebody waits for it, and how much of an answer may wait for
    its reader: tokens, or alternatives to them, of some 200 bytes each. Contexts are rarely longer, so that
    only an answer without end gets there."""

    patience_s: float = 30.0
    unread: int = 2**17


End = protocol.Finished | protocol.Embedded | NybbleError
Ended = Callable[[End], None]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request in the worker: what came of it and was not read yet, and whom to tell that it has ended."""

    updates: asyncio.Queue[Update | protocol.Embedded]
    ended: Ended


class Worker:
    """A child process with one loaded model. Made by `start`, ended by `stop` or by its own death."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self.name = name
        self.pid = process.pid
        # Set by `start`.
        self.ready: protocol.Ready
        self.busy_slots = 0
        self.waiting = 0
        self.threads: int | None = None
        self.has_answered = False
        self.exited = asyncio.Event()
        self._process = process
        self._requests: dict[str, _Asked] = {}
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)
        self._stopping = False
        self._limits = limits
        self._is_hung = False
        self._messages = 0
        self._words: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls, name: str, load: protocol.Load, progress: Callable[[float], None], limits: Limits | None = None
    ) -> Worker:
        """A worker that has loaded its model. Raises InvalidModel for what llama.cpp refused, WorkerFailed if
        the process died, or did nothing while somebody waited for it. Cancelling ends the process."""
        process = await asyncio.create_subprocess_exec(
            *child.command("runner.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child.environment(),
            limit=protocol.MAX_LINE_BYTES,
        )
        worker = cls(name, process, limits or Limits())
        worker._words = [asyncio.create_task(worker._read_stderr())]
        worker._tasks = [asyncio.create_task(worker._watch())]
        try:
            await worker._load(load, progress)
        except BaseException:
            worker._kill()
            await process.wait()
            raise
        worker._tasks.append(asyncio.create_task(worker._read_events()))
        return worker

    @property
    def description(self) -> str:
        """Such as "CPU 92 MiB, 4 slots of 8192 tokens, 2 threads, loaded in 0.35 s"."""
        ready = self.ready
        room = f"{ready.slots} slot{'s' * (ready.slots > 1)} of {ready.context_length} tokens"
        speed = f"{ready.threads} thread{'s' * (ready.threads > 1)}, loaded in {ready.load_s:.2f} s"
        return ", ".join((ready.devices, room, speed, *ready.notes))

    @property
    def memory_bytes(self) -> int | None:
        """What the process holds now in RAM; None if the system does not say."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return None

    @property
    def death(self) -> NybbleError | None:
        """Why the process ended, if nobody asked it to."""
        return self._death() if self.exited.is_set() and not self._stopping else None

    async def generate(
        self, request: protocol.Generate, ended: Ended = lambda _: None
    ) -> AsyncGenerator[protocol.Delta | protocol.Finished]:
        """Events of one request; Finished is the last. Closing early cancels it in the worker. `ended` is
        told the last event when it comes, maybe long before it is read, unless the process dies.

        Raises WorkerFailed if the process dies, AnswerUnread if more waits to be read than may, and what the
        worker refused.
        """
        numbers = 1 if request.top_logprobs is None else 2 + request.top_logprobs
        with self._asking(request, ended, self._limits.unread // numbers) as updates:
            while True:
                arrived = [await updates.get()]
                while not updates.empty() and len(arrived) < _TAKEN_AT_ONCE:
                    arrived.append(updates.get_nowait())
                for update in joined(arrived):
                    if isinstance(update, NybbleError):
                        raise update
                    yield update
                    if isinstance(update, protocol.Finished):
                        return

    async def embed(self, request: protocol.Embed) -> protocol.Embedded:
        """Vectors or scores; cancelling the call cancels the request in the worker. Raises as `generate`."""
        with self._asking(request, lambda _: None) as updates:
            answer: protocol.Embedded | NybbleError = await updates.get()
        if isinstance(answer, NybbleError):
            raise answer
        return answer

    @contextmanager
    def _asking(
        self, request: protocol.Generate | protocol.Embed, ended: Ended, most_unread: int = 1
    ) -> Iterator[asyncio.Queue[Any]]:
        """What the worker says of `request`; leaving before its end cancels it in the worker."""
        if self.exited.is_set():
            raise self._death()
        self._send(request)
        updates: asyncio.Queue[Any] = asyncio.Queue(most_unread + 1)
        self._requests[request.request_id] = _Asked(updates, ended)
        try:
            yield updates
        finally:
            if self._requests.pop(request.request_id, None) is not None:
                self._send(protocol.Cancel(request.request_id))

    async def stop(self) -> None:
        """End the process: asked first, killed after a grace."""
        self._stopping = True
        self._send(protocol.Shutdown())
        try:
            await asyncio.wait_for(self._process.wait(), _SHUTDOWN_GRACE_S)
        except TimeoutError:
            self._kill()
        await self.exited.wait()

    def fail_all(self, error: NybbleError) -> None:
        """End every request with `error`."""
        while self._requests:
            _, asked = self._requests.popitem()
            asked.updates.put_nowait(error)

    def _send(self, message: protocol.Command) -> None:
        """Raises UserError for more than the process would read: it would end, with everybody's requests."""
        line = protocol.encode(message)
        if len(line) > protocol.MAX_LINE_BYTES:
            raise UserError(
                f"the prompt takes {len(line):,} bytes as JSON, and the limit is {protocol.MAX_LINE_BYTES:,}"
            )
        self._messages += 1
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line)

    def _kill(self) -> None:
        with suppress(ProcessLookupError):  # it has ended in the meantime
            self._process.kill()

    async def _end(self) -> None:
        """Wait for a process that has closed its output, and for its last words; kill it if it does not end.
        Never at once: `kill` collects the exit status of one that is dead already, and asyncio then reports
        255 for it."""
        try:
            await asyncio.wait_for(self._process.wait(), _EXIT_GRACE_S)
        except TimeoutError:
            self._kill()
            await self._process.wait()
        await asyncio.wait(self._words, timeout=_EXIT_GRACE_S)

    async def _load(self, load: protocol.Load, progress: Callable[[float], None]) -> None:
        self._send(load)
        while self.threads is None:
            event = await self._next_event()
            if isinstance(event, protocol.LoadProgressed):
                progress(event.fraction)
            elif isinstance(event, protocol.LoadFailed):
                hint = event.hint or "`nybble verify` checks the file; `nybble logs` has llama.cpp's words"
                raise InvalidModel(event.message, hint=hint)
            elif isinstance(event, protocol.Ready):
                self.ready, self.threads = event, event.threads
            else:
                await self._end()
                raise self._death()

    async def _next_event(self) -> protocol.Event | None:
        """The next event; None at the end of the stream, or if the worker breaks the protocol."""
        if self._process.stdout is None:
            return None
        try:
            line = await self._process.stdout.readline()
            self._messages += 1
            event = protocol.decode(line) if line else None
        except (protocol.ProtocolError, ValueError) as error:
            _log.error("%s: %s", self.name, error)
            self._kill()
            return None
        return event if isinstance(event, protocol.Event) else None

    async def _read_events(self) -> None:
        while event := await self._next_event():
            if isinstance(event, protocol.Stepped):
                self._dispatch(event)
        await self._end()
        self.fail_all(self._death())
        self.exited.set()

    def _dispatch(self, step: protocol.Stepped) -> None:
        self.busy_slots, self.waiting, self.threads = step.busy_slots, step.waiting, step.threads
        self.has_answered |= bool(step.finished or step.embedded)
        for delta in step.deltas:
            if asked := self._requests.get(delta.request_id):
                asked.updates.put_nowait(delta)
                if asked.updates.qsize() == asked.updates.maxsize - 1:  # the last place is for the end
                    self._give_up(delta.request_id, asked.updates.qsize())
        ends: list[protocol.Finished | protocol.Embedded | protocol.Failed]
        ends = [*step.finished, *step.embedded, *step.failed]
        for end in ends:
            self._conclude(end.request_id, _refused(end) if isinstance(end, protocol.Failed) else end)

    def _conclude(self, request_id: str, end: End) -> None:
        if asked := self._requests.pop(request_id, None):
            asked.updates.put_nowait(end)
            asked.ended(end)

    def _give_up(self, request_id: str, unread: int) -> None:
        """End a request whose reader does not read."""
        self._send(protocol.Cancel(request_id))
        error = AnswerUnread(
            f"{unread:,} steps of the answer were not read, which is the limit",
            hint="read the answer while it is written, or bound it (`max_tokens`, `num_predict`)",
        )
        self._conclude(request_id, error)

    async def _watch(self) -> None:
        """Kill the process if it does nothing while somebody waits for it: it was stopped, or waits for
        itself. A step may take minutes on a slow machine, but then it takes processor time."""
        before: tuple[int, float] | None = None
        while self._process.returncode is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self._limits.patience_s)
            now = self._messages, self._cpu_s()
            if now == before and (self.threads is None or self._requests):
                self._is_hung = True
                self._kill()
            before = now

    def _cpu_s(self) -> float:
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    async def _read_stderr(self) -> None:
        stream = self._process.stderr
        while stream is not None and (line := await _line(stream)):
            text = line.decode("utf-8", "replace").rstrip()
            self._stderr.append(text)
            _log.info("%s[%d]: %s", self.name, self.pid, text)

    def _death(self) -> NybbleError:
        if self._stopping:
            return WorkerFailed(f"{self.name} was unloaded", hint="send the request again")
        how = _how_it_ended(self._process.returncode)
        # Indented are the frames of a traceback: they are the log's, and only its last line says what it was.
        words = "; ".join([line for line in self._stderr if not line.startswith((" ", "Traceback "))][-3:])
        if self._is_hung:
            how = f"did nothing for {self._limits.patience_s:g} s and was ended"
        elif how.endswith("SIGKILL"):
            # It came from outside, and leaves no time for words.
            how, words = f"{how}, as when memory runs out", ""
        message = f"the process of {self.name} {how}" + (f": {words}" if words else "")
        return WorkerFailed(message, hint="the next request loads the model again; `nybble logs` has more")


async def _line(stream: asyncio.StreamReader) -> bytes:
    """One line, or the part of an overlong one that fits the buffer."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(overlong line)"


def _refused(failed: protocol.Failed) -> NybbleError:
    if failed.code == PromptTooLong.code:
        prompt_tokens, context_length = failed.prompt_tokens or 0, failed.context_length or 0
        return PromptTooLong(failed.message, prompt_tokens, context_length, hint=failed.hint)
    return RemoteError(failed.message, hint=failed.hint, code=failed.code, status=failed.status)


def _how_it_ended(status: int | None) -> str:
    if status is not None and status < 0 and sys.platform != "win32":
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
    return "ended without a word" if status in (None, 0) else f"ended with status {status}"
