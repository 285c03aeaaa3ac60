"""The loaded models of one child, and the orders they can be given: JSON in, JSON out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from native.log import Log
from native.probe import take_snapshot
from native.score import generate, rows
from native.score.against_record import AgainstRecord
from native.score.failed import Failed, failing
from native.score.lockstep import Lockstep, ReferenceScores
from native.score.logits_file import LogitsFile
from native.score.models import Reader, ScoredModel, Settings
from native.score.record_file import KeptBlock, RecordFile
from native.score.workers import Block, Places, Workers

# Far from the usual 256: other kernels, other sums. On GPUs, a single token has still others.
_NOISE_MICRO_BATCH_TOKENS = 64
# A single token at a time waits for memory more than for processors.
_ANSWERING_AT_ONCE = 2

Lines = Iterator[dict[str, Any]]
"""What is answered to an order, as it comes."""


class Session:
    """Its public methods are the orders; each raises Failed."""

    def __init__(self, order: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        """Says {"loaded": …} of each model."""
        log = Log()
        self._models: list[ScoredModel] = []
        digests = []
        for number, each in enumerate(order["models"]):
            with failing(number, "load"):
                self._models.append(ScoredModel(Settings(**each), log))
            digests.append(self._models[-1].vocabulary_digest())
            say({"loaded": _loaded(self._models[-1], digests[-1])})
        self._temperatures = tuple(order["temperatures"])
        self._has_reference = order["has_reference"]
        settings = self._models[0].settings
        self._workers = Workers(settings.threads, self._models[0].vocabulary_size)
        # Always shared out the same way: with another number of threads a model might answer otherwise.
        at_once = 1 if settings.gpu_layers else min(_ANSWERING_AT_ONCE, settings.threads)
        self._answer_threads = settings.threads // at_once
        self._answering = ThreadPoolExecutor(at_once)
        self._record: RecordFile | None = None
        if order["record"]:
            with failing(None, "record"):
                self._record = RecordFile(Path(order["record"]), self._temperatures, digests[0])
        self._against = AgainstRecord()

    def tokenize(self, order: dict[str, Any]) -> Lines:
        with failing(0, "load"):
            yield {"tokens": self._models[0].tokenize(order.pop("text"), **order)}

    def pieces(self, tokens: list[int]) -> Lines:
        model = self._models[0]
        yield {"pieces": [base64.b64encode(model.piece(token)).decode() for token in tokens]}

    def score(self, order: list[dict[str, Any]]) -> Lines:
        blocks = [Block(**each) for each in order]
        scored = self._together(blocks) if self._has_reference else self._beside_record(blocks)
        for reference, candidates in scored:
            yield {"reference": _arrays(reference), "candidates": [_arrays(each) for each in candidates]}

    def score_beside_file(self, order: dict[str, Any]) -> Lines:
        blocks, model = [Block(**each) for each in order["blocks"]], self._models[0]
        beginning = model.tokenize("", add_special=True)
        with failing(None, "record"):
            file = LogitsFile(Path(order["path"]), model.vocabulary_size, beginning)
            for block in blocks:
                file.check(block)

        def work(number: int, at: Places) -> rows.Candidate:
            with failing(number):
                return file.candidate(at)

        works = [partial(work, number) for number in range(len(self._models))]
        readers = self._readers(blocks)
        with failing(None):
            for parts in self._workers.over(readers, blocks, works):
                yield {"candidates": [_arrays(rows.joined(each)) for each in parts]}

    def noise_floor(self, order: dict[str, Any]) -> Lines:
        block = Block(**order)
        with failing(0):
            sizes = [_NOISE_MICRO_BATCH_TOKENS, *([1] if self._models[0].settings.gpu_layers else [])]
            noise = [self._noise(block, size) for size in sizes]
        yield {"candidate": _arrays(max(noise, key=lambda each: float(each.kld.mean())))}

    def sample(self, order: dict[str, Any]) -> Lines:
        with failing(0):
            for tokens in generate.sample(self._models[0], **order):
                yield {"sampled": tokens}
        yield {"sampled": None}

    def answer(self, order: dict[str, Any]) -> Lines:
        def one(number: int) -> list[dict[str, Any]]:
            with failing(number):
                answers = generate.answer(self._models[number], threads=self._answer_threads, **order)
                return [asdict(each) for each in answers]

        yield {"answers": list(self._answering.map(one, range(len(self._models))))}

    def _noise(self, block: Block, micro_batch_tokens: int) -> rows.Candidate:
        model, length = self._models[0], len(block.tokens)
        other = Reader(model, length, micro_batch_tokens)
        readers = [model.reader(length), other]
        ((_, (candidate,)),) = Lockstep(self._temperatures).score(self._workers, readers, [block])
        other.close()
        return candidate

    def _together(self, blocks: Sequence[Block]) -> Iterator[tuple[ReferenceScores, list[rows.Candidate]]]:
        lockstep = Lockstep(self._temperatures, keeps=self._record is not None)
        readers = self._readers(blocks)
        with failing(None):
            scored = lockstep.score(self._workers, readers, blocks)
            for block, (reference, candidates) in zip(blocks, scored, strict=True):
                if self._record and reference.kept is not None:
                    keeping = KeptBlock(reference.kept, list(reference.kld_at))
                    self._record.append(block.index, block.tokens, block.first_scored, keeping)
                yield replace(reference, kept=None), candidates

    def _beside_record(
        self, blocks: Sequence[Block]
    ) -> Iterator[tuple[ReferenceScores, list[rows.Candidate]]]:
        if self._record is None:
            raise Failed("there is neither a reference nor its record", None, "record")
        (reader,) = self._readers(blocks)
        with failing(0):
            for block in blocks:
                kept = self._record.read(block.index, block.tokens, block.first_scored)
                candidate = self._against.score(self._workers, reader, block, kept.rows)
                of = kept.rows
                reference = ReferenceScores(of["nll"], of["margin"], of["entropy"], np.asarray(kept.kld_at))
                yield reference, [candidate]

    def _readers(self, blocks: Sequence[Block]) -> list[Reader]:
        longest, readers = max(len(block.tokens) for block in blocks), []
        for number, model in enumerate(self._models):
            with failing(number):
                readers.append(model.reader(longest))
        return readers


def _loaded(model: ScoredModel, digest: str) -> dict[str, Any]:
    snapshot = take_snapshot()
    return {
        "vocabulary_size": model.vocabulary_size,
        "vocabulary_digest": digest,
        "engine": f"llama-cpp-python {snapshot.llama_cpp_python}: {snapshot.system_info}",
        "bos_text": model.token_text(model.bos_token),
        "eos_text": model.token_text(model.eos_token),
        "control_tokens": list(model.control_tokens()),
    }


def _arrays(scores: ReferenceScores | rows.Candidate) -> dict[str, str]:
    fields = {name: getattr(scores, name) for name in scores.__slots__}
    known = {name: array for name, array in fields.items() if array is not None}
    return {name: base64.b64encode(array.tobytes()).decode() for name, array in known.items()}
