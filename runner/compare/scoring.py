"""The models of a comparison, loaded in a child (`native.score`), and what they say of tokens."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from modelstore import progress
from modelstore.child import Child, running
from modelstore.errors import Unusable
from runner.compare.blocks import TEMPERATURES, Block, CandidateScores, ReferenceScores
from runner.compare.forks import GreedyAnswer
from runner.compare.variant import Variant
from runner.errors import DoesNotFit, WorkerFailed
from runner.text import clean_name

Drafts = Sequence[Sequence[int]]
"""Tokens of answers that are being written."""

_KINDS = {
    "nll": np.float64, "margin": np.float32, "entropy": np.float32, "kld_at": np.float64,
    "kld": np.float64, "same_top": np.bool_, "lumped": np.float64,
}  # fmt: skip
"""Of the arrays that the child sends, by name."""

_ANSWERS = TypeAdapter(list[list[GreedyAnswer]])


@dataclass(frozen=True, slots=True)
class Loaded:
    """One loaded model. `vocabulary_digest` is of all tokens' texts and types; `engine` what llama.cpp says
    of its build. Chat templates need the texts of the tokens that begin and end a text, and of all control
    tokens."""

    vocabulary_size: int
    vocabulary_digest: str
    engine: str
    bos_text: str = ""
    eos_text: str = ""
    control_tokens: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """What the models said of one block; `candidates` in the order in which they were given."""

    reference: ReferenceScores
    candidates: tuple[CandidateScores, ...]


class Scorer:
    """A child with loaded models: the reference first, then the candidates. One thread uses it.

    Every method raises WorkerFailed if the child ends, and progress.Cancelled if that was asked for.
    """

    def __init__(self, child: Child, variants: Sequence[Variant], cancelled: Event) -> None:
        self._child = child
        self._answers = child.messages()
        self._variants = variants
        self._cancelled = cancelled
        self.loaded: tuple[Loaded, ...] = ()

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, reference: Variant | None, candidates: Sequence[Variant], record: Path | None, cancelled: Event
    ) -> Iterator[Scorer]:
        """With `record` and a reference, its compact record is written beside the scoring; with `record`
        alone the one candidate is scored against it.

        Raises Unusable for a file that cannot be loaded and for another vocabulary than the first model's,
        DoesNotFit and WorkerFailed.
        """
        variants = [*([reference] if reference else []), *candidates]
        with running("native.score", cancelled) as child:
            scorer = cls(child, variants, cancelled)
            scorer._load(has_reference=reference is not None, record=record)
            yield scorer

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        order = {"text": text, "add_special": add_special, "parse_special": parse_special}
        return list(self._ask({"tokenize": order})["tokens"])

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """Bytes of each token, empty for control tokens."""
        return [base64.b64decode(piece) for piece in self._ask({"pieces": list(tokens)})["pieces"]]

    def score_all(self, blocks: Sequence[Block]) -> Iterator[Scored]:
        """Of each block, as soon as it is read; models that are done with one go on to the next. Raises
        Unusable, naming the model, for logits that are no numbers, and for a record of other tokens."""
        if blocks:
            self._child.send({"score": [_order(block) for block in blocks]})
        for _ in blocks:
            answer = self._receive()
            yield Scored(ReferenceScores(**_arrays(answer["reference"])), _candidates(answer))

    def score_beside_file(self, file: Path, blocks: Sequence[Block]) -> Iterator[tuple[CandidateScores, ...]]:
        """What all models say of each block beside the distributions in a file of llama-perplexity's. Raises
        Unusable for a file that is damaged, or of another vocabulary or other tokens."""
        order = {"path": str(file), "blocks": [_order(block) for block in blocks]}
        self._child.send({"score_beside_file": order})
        for _ in blocks:
            yield _candidates(self._receive())

    def noise_floor(self, block: Block) -> CandidateScores:
        """The reference against itself, computed in smaller micro-batches: what differs is no quantization's
        fault."""
        return CandidateScores(**_arrays(self._ask({"noise_floor": _order(block)})["candidate"]))

    def sample(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, seeds: Sequence[int], begun: Drafts = ()
    ) -> Iterator[Drafts]:
        """What the reference says at temperature 1, nothing cut off, to all prompts side by side; up to
        `max_tokens` each, the last of which is the end token unless the limit came first. The same seed gives
        the same tokens. Says after each step what is written so far, with what was `begun` before."""
        answers = [list(tokens) for tokens in begun] or [[] for _ in prompts]
        order = {"prompts": [list(prompt) for prompt in prompts], "max_tokens": max_tokens}
        self._child.send({"sample": {**order, "seeds": list(seeds), "begun": answers}})
        while (step := self._receive()["sampled"]) is not None:
            for answer, token in zip(answers, step, strict=True):
                if token is not None:
                    answer.append(token)
            yield answers

    def sampled(self, prompts: Sequence[Sequence[int]], max_tokens: int, seeds: Sequence[int]) -> Drafts:
        """`sample`, once all have ended."""
        return list(self.sample(prompts, max_tokens, seeds))[-1]

    def answer(
        self, prompts: Sequence[Sequence[int]], limits: Sequence[int]
    ) -> list[tuple[GreedyAnswer, ...]]:
        """To each prompt, at most as long as its limit: of every model, the reference first. Side by side, so
        the same prompts give the same tokens only together."""
        order = {"prompts": [list(prompt) for prompt in prompts], "limits": list(limits)}
        models = _ANSWERS.validate_python(self._ask({"answer": order})["answers"])
        return list(zip(*models, strict=True))

    # The child

    def _load(self, *, has_reference: bool, record: Path | None) -> None:
        models = [_settings(variant) for variant in self._variants]
        order = {"models": models, "has_reference": has_reference, "temperatures": TEMPERATURES}
        self._child.send({**order, "record": str(record) if record else None})
        self.loaded = tuple(self._next_loaded(variant) for variant in self._variants)
        self._refuse_other_vocabularies()
        self._receive()  # ready

    def _next_loaded(self, variant: Variant) -> Loaded:
        """A file on which llama.cpp ends the process is a bad file too."""
        try:
            return Loaded(**self._receive()["loaded"])
        except WorkerFailed as error:
            raise Unusable(f"{clean_name(variant.name)} cannot be loaded: {error.message}") from error

    def _refuse_other_vocabularies(self) -> None:
        first = self.loaded[0]
        for variant, loaded in zip(self._variants, self.loaded, strict=True):
            if loaded.vocabulary_digest != first.vocabulary_digest:
                names = [clean_name(each.name) for each in (variant, self._variants[0])]
                raise Unusable(
                    f"{names[0]} has another vocabulary than {names[1]}"
                    f" ({loaded.vocabulary_size} and {first.vocabulary_size} tokens): KL divergence and flips"
                    " between them mean nothing",
                    hint="Bits per byte compare models of different vocabularies.",
                )

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        self._child.send(order)
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        answer = next(self._answers, None)
        if answer is None:
            progress.check(self._cancelled)
            raise WorkerFailed(f"the process that scores ended: {self._child.last_words()}")
        if "error" in answer:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: dict[str, Any]) -> Unusable:
        model = answer.get("model")
        name = f"{clean_name(self._variants[model].name)}: " if model is not None else ""
        kind = DoesNotFit if answer.get("kind") == "memory" else Unusable
        return kind(f"{name}{answer['error']}", hint=answer.get("hint"))


def _settings(variant: Variant) -> dict[str, Any]:
    """The child makes its caches as long as the blocks are: the engine's context length is for the speed."""
    engine = asdict(variant.engine)
    del engine["context_length"]
    return {"path": str(variant.path), **engine}


def _order(block: Block) -> dict[str, Any]:
    return {"index": block.index, "tokens": list(block.tokens), "first_scored": block.first_scored}


def _candidates(answer: dict[str, Any]) -> tuple[CandidateScores, ...]:
    return tuple(CandidateScores(**_arrays(fields)) for fields in answer["candidates"])


def _arrays(fields: dict[str, str]) -> dict[str, Any]:
    """The fields of ReferenceScores or CandidateScores."""
    return {name: np.frombuffer(base64.b64decode(text), _KINDS[name]) for name, text in fields.items()}
