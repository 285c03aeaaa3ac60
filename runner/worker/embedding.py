"""The engine of a model that was loaded to embed: texts of all requests share its decodes.

Requests take turns, one input each, so that a short one does not wait for a long one. Like the other engine
it knows nothing of pipes or HTTP; `submit` and `cancel` take effect at the next step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from native.embedding import EmbeddingContext
from native.errors import LlamaError
from runner.protocol import MAX_LINE_BYTES, Embed, Embedded, Failed, Stepped
from runner.worker.inputs import Input, Inputs
from runner.worker.refused import Cancelled, Refused

# JSON has four characters for three bytes of vectors, and token counts beside them.
_LINE_BYTES = MAX_LINE_BYTES // 2


@dataclass(slots=True, eq=False)
class _Job:
    """One request. Its first `begun` inputs have been put into a batch, `done` came out as vectors."""

    request: Embed
    inputs: list[list[int]]
    token_counts: tuple[int, ...]
    truncated: tuple[int, ...]
    vectors: list[bytes]
    begun: int = 0
    done: int = 0


@dataclass(slots=True)
class _Reading:
    """One input while the model reads it; the first `computed` of its tokens have been."""

    job: _Job
    index: int
    sequence: int
    computed: int = 0

    @property
    def tokens(self) -> list[int]:
        return self.job.inputs[self.index]

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.computed


class Embedder:
    """Runs the requests of one model. Single-threaded: the thread that made it owns it."""

    def __init__(self, context: EmbeddingContext) -> None:
        self._context = context
        self._inputs = Inputs(context.model)
        self._jobs: deque[_Job] = deque()
        # The one input that the last batch had no room for to the end.
        self._split: _Reading | None = None
        self._sequence = 0
        self._embedded: list[Embedded] = []
        self._failed: list[Failed] = []

    @property
    def is_idle(self) -> bool:
        return not (self._jobs or self._split or self._embedded or self._failed)

    def read(self, request: Embed) -> list[Input]:
        """Tokens of its inputs. Only looks at the vocabulary: any thread may call it. Raises LlamaError."""
        if request.query is None:
            return [self._inputs.single(text) for text in request.inputs]
        return [self._inputs.pair(request.query, text) for text in request.inputs]

    def submit(self, request: Embed, tokens: Callable[[], list[Input]] | None = None) -> None:
        """Queue a request; a bad one is reported as failed by the next step. `tokens` stands for `read`."""
        try:
            self._jobs.append(self._job(request, tokens or partial(self.read, request)))
        except LlamaError as error:
            self._fail(request, "invalid_request", str(error))
        except Refused as error:
            self._failed.append(error.of(request.request_id))

    def cancel(self, request_id: str) -> None:
        """End a request where it stands. One that already ended is not an error: messages cross."""
        split = self._split
        running = [*self._jobs, *([split.job] if split else [])]
        job = next((job for job in running if job.request.request_id == request_id), None)
        if job is None:
            return
        if job in self._jobs:
            self._jobs.remove(job)
        if split and split.job is job:
            self._context.clear(split.sequence)
            self._split = None
        self._failed.append(Cancelled().of(request_id))

    def step(self) -> Stepped:
        """Decode one batch and say what came of it. Raises LlamaError: then the context is lost."""
        readings = self._fill()
        if readings:
            self._context.decode()
        self._split = None
        for reading in readings:
            if reading.pending:
                self._split = reading
            else:
                self._keep(reading)
        embedded = self._take_embedded()
        failed, self._failed = tuple(self._failed), []
        busy = 0 if self.is_idle else len(readings)
        return Stepped((), (), failed, embedded, busy, len(self._jobs), self._context.threads)

    def _take_embedded(self) -> tuple[Embedded, ...]:
        """As many as one line has room for; a later step reports the others."""
        sizes = accumulate(sum(map(len, each.vectors)) for each in self._embedded)
        count = max(1, sum(size_bytes <= _LINE_BYTES for size_bytes in sizes))
        taken, self._embedded = tuple(self._embedded[:count]), self._embedded[count:]
        return taken

    def close(self) -> None:
        """No more steps will come. Nothing of what was read is kept."""

    # From texts to jobs

    def _job(self, request: Embed, tokens: Callable[[], list[Input]]) -> _Job:
        """Raises LlamaError, Refused."""
        width = self._context.width
        if request.dimensions is not None and request.dimensions > width:
            raise Refused(
                f"dimensions: {request.dimensions} were asked for, the model's vectors have {width}"
            )
        if not request.inputs:
            raise Refused("inputs: at least one is needed")
        inputs = tokens()
        limit = self._limit(request)
        kept = [self._cut(request, number, each, limit) for number, each in enumerate(inputs)]
        return _Job(
            request,
            kept,
            token_counts=tuple(map(len, kept)),
            truncated=tuple(number for number, each in enumerate(inputs) if len(each) > limit),
            vectors=[b""] * len(kept),
        )

    def _limit(self, request: Embed) -> int:
        """The longest input in tokens: an encoder has learned no positions beyond its trained length."""
        context = self._context
        longest = min(context.options.context_length, context.model.trained_context_length)
        return min(longest, request.context_length or longest)

    def _cut(self, request: Embed, number: int, tokens: Input, limit: int) -> list[int]:
        """Raises Refused."""
        kept = tokens.cut(limit)
        if kept is not None and (request.truncate or len(tokens) <= limit):
            return kept
        # Clients of Ollama know both cases by these words.
        words = "the input length exceeds the context length"
        if request.truncate:
            words = "input after truncation exceeds maximum context length"
        problem = f"{words}: input {request.first + number} has {len(tokens)} tokens, the context {limit}"
        is_shortened = limit < self._context.model.trained_context_length
        hint = "shorten it or allow `truncate`" + (", or ask for a larger `num_ctx`" if is_shortened else "")
        raise Refused(problem, "context_length_exceeded", hint, len(tokens), limit)

    def _fail(self, request: Embed, code: str, message: str, status: int = 400) -> None:
        self._failed.append(Failed(request.request_id, code, message, status))

    # From jobs to batches

    def _fill(self) -> list[_Reading]:
        """Put into the batch what it has room for: the rest of a split input, then one of each request in
        turn."""
        context = self._context
        context.batch.clear()
        room = context.packed_tokens
        readings: list[_Reading] = []
        while room > 0 and len(readings) < context.options.sequences and (reading := self._next(room)):
            count = min(reading.pending, room) if context.can_split else reading.pending
            chunk = reading.tokens[reading.computed : reading.computed + count]
            context.batch.add(reading.sequence, reading.computed, chunk, count)
            reading.computed += count
            room -= count
            readings.append(reading)
        return readings

    def _next(self, room: int) -> _Reading | None:
        """The next input to read; None if there is none, or if it must be read whole and has no room."""
        if self._split is not None:
            split, self._split = self._split, None
            return split
        if not self._jobs:
            return None
        job = self._jobs[0]
        is_first = room == self._context.packed_tokens
        if not (is_first or self._context.can_split or len(job.inputs[job.begun]) <= room):
            return None
        self._jobs.popleft()
        reading = _Reading(job, job.begun, self._sequence)
        self._sequence = (self._sequence + 1) % self._context.options.sequences
        job.begun += 1
        if job.begun < len(job.inputs):
            self._jobs.append(job)
        return reading

    # From batches to vectors

    def _keep(self, reading: _Reading) -> None:
        job = reading.job
        job.vectors[reading.index] = self._context.vector(reading.sequence)
        self._context.clear(reading.sequence)
        job.done += 1
        if job.done == len(job.inputs):
            self._finish(job)

    def _finish(self, job: _Job) -> None:
        import numpy as np  # a worker that generates never needs it

        table = np.frombuffer(b"".join(job.vectors), "<f4").reshape(len(job.vectors), -1)
        if self._context.is_reranker:
            table = table[:, :1]
        else:
            table = table[:, : job.request.dimensions]
            table = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), np.finfo("<f4").tiny)
        if not np.isfinite(table).all():
            self._fail(job.request, "not_finite", "the model's numbers are not finite", 422)
            return
        vectors = tuple(row.tobytes() for row in table)
        request_id = job.request.request_id
        self._embedded.append(Embedded(request_id, vectors, job.token_counts, job.truncated))
