"""Embedding and reranking from request to vectors: model, worker, parts."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

from modelstore.errors import UserError
from modelstore.header import Header
from runner import wire
from runner.claims import Ask, Claims
from runner.errors import WorkerFailed, WrongPurpose
from runner.lookup import Lookup
from runner.process import Worker
from runner.protocol import MAX_LINE_BYTES, Embed
from runner.supervisor import Supervisor

# Commands and their answers stay below the longest line between daemon and worker, whatever escaping does to
# texts and however wide the model is: one text may have so many bytes, and so may those that share a command.
MAX_TEXT_BYTES = 2**20
_PART_NUMBERS = MAX_LINE_BYTES // 8
_PART_INPUTS = 128


class EmbeddingRuns:
    """Turns requests into vectors, with the supervisor's workers."""

    def __init__(self, lookup: Lookup, claims: Claims, supervisor: Supervisor) -> None:
        self._lookup = lookup
        self._claims = claims
        self._supervisor = supervisor

    async def run(self, request: wire.EmbedRequest, request_id: str, arrived_s: float) -> wire.Embeddings:
        """Without inputs: loads the model and stops there. `arrived_s` is a reading of `time.perf_counter`.

        Raises NotFound, UserError, Unusable, Overloaded, WorkerFailed.
        """
        manifest = await self._lookup.manifest(request.model)
        header = await self._lookup.header(manifest)
        _check_purpose(manifest.name, header, is_pair=request.query is not None)
        parts = list(_parts(request, request_id, header.embedding_length or 1))
        least = request.options.context_length
        ask = Ask(request_id, least, request.keep_alive_s, is_embedding=True)
        claimed, target = await self._claims.claim(manifest, ask)
        async with self._supervisor.lease(claimed, target) as lease:
            async for _waiting in lease.until_ready():
                pass
            if lease.worker is None:
                raise WorkerFailed(f"{manifest.name} was unloaded")
            load_s = time.perf_counter() - arrived_s
            return await _answer(manifest.name, lease.worker, parts, arrived_s, load_s)


def _check_purpose(name: str, header: Header, *, is_pair: bool) -> None:
    if is_pair and header.purpose != "rerank":
        raise WrongPurpose(
            f'"{name}" does not support reranking', hint="use a model whose file says that it ranks"
        )
    if not is_pair and header.purpose == "rerank":
        raise WrongPurpose(f'"{name}" does not support embeddings', hint="it is a reranker: `/v1/rerank`")


def _parts(request: wire.EmbedRequest, request_id: str, width: int) -> Iterator[Embed]:
    """The request in commands of a bounded size. Raises UserError for a text that is too long for any."""
    sizes = [len(text.encode("utf-8", "replace")) for text in [*request.inputs, request.query or ""]]
    for place, size_bytes in enumerate(sizes):
        if size_bytes > MAX_TEXT_BYTES:
            what = f"input {place}" if place < len(request.inputs) else "the query"
            raise UserError(f"{what} has {size_bytes} bytes, and one text may have {MAX_TEXT_BYTES}")
    # A worker reads it with each input.
    query_bytes = sizes.pop()
    most_inputs = max(1, min(_PART_INPUTS, _PART_NUMBERS // width))
    first = 0
    while first < len(request.inputs):
        count, size_bytes = 1, sizes[first] + query_bytes
        while count < min(most_inputs, len(request.inputs) - first):
            size_bytes += sizes[first + count] + query_bytes
            if size_bytes > MAX_TEXT_BYTES:
                break
            count += 1
        yield Embed(
            f"{request_id}-{first}",
            tuple(request.inputs[first : first + count]),
            request.truncate,
            request.dimensions,
            request.query,
            request.options.context_length,
            first,
        )
        first += count


async def _answer(
    name: str, worker: Worker, parts: list[Embed], arrived_s: float, load_s: float
) -> wire.Embeddings:
    """One part after the other: each is enough for a decode, and other requests get their turns between."""
    vectors: list[list[float]] = []
    token_counts: list[int] = []
    truncated: list[int] = []
    for part in parts:
        embedded = await worker.embed(part)
        vectors += [list(struct.unpack(f"<{len(data) // 4}f", data)) for data in embedded.vectors]
        token_counts += embedded.token_counts
        truncated += [part.first + number for number in embedded.truncated]
    total_s = time.perf_counter() - arrived_s
    timings = wire.Timings(load_s=load_s, prefill_s=total_s - load_s, total_s=total_s)
    # Nothing that we made ourselves is checked: of a million numbers that takes long.
    return wire.Embeddings.model_construct(
        model=name, vectors=vectors, token_counts=token_counts, truncated=truncated, timings=timings
    )
