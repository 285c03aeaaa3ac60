"""The self test on a real model: quantizations are made of it, scored in every way there is, and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np

from modelstore.conversion import Conversion, Recipe
from runner.compare import corpus, selftest
from runner.compare.blocks import Block, compatible
from runner.compare.clusters import Floats
from runner.compare.peer import Peer
from runner.compare.quality import Pooled, perplexity, pooled
from runner.compare.scoring import Scored, Scorer
from runner.compare.selftest import Check
from runner.compare.variant import Variant, header_of

_MADE = ("Q8_0", "Q4_K_M", "Q4_0", "Q3_K_M")
_CHUNKS = 4
LENGTH_TOKENS = 512
_ANSWERS = 12
_ANSWER_TOKENS = 96
_PROMPT_TOKENS = 24

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """`reference` needs a context of 512 tokens. `report` is told what is being done."""

    reference: Variant
    peer: Path | None
    report: Report
    cancelled: Event

    def checks(self) -> Iterator[Check]:
        """As they are made. Raises Unusable, UserError and WorkerFailed."""
        with tempfile.TemporaryDirectory(prefix="nybble-selftest-") as scratch:
            folder = Path(scratch)
            made = [self._made(label, folder) for label in _MADE]
            candidates = [*made, replace(self.reference, name="itself")]
            record = folder / "reference.record"
            self.report("scoring in lock step")
            with Scorer.running(self.reference, candidates, record, self.cancelled) as scorer:
                blocks = corpus.fixed_blocks(scorer, compatible(LENGTH_TOKENS), _CHUNKS)
                exact = _by_candidate(list(scorer.score_all(blocks)))
                yield selftest.itself(exact[-1])
                noise = scorer.noise_floor(blocks[0])
                floor = f"mean KL divergence {abs(noise.kld.mean()):.2g} with another micro-batch size"
                yield Check("noise floor of this machine", True, floor)
                own = self._own_text(scorer, blocks)
            for variant, scores in zip(made, exact, strict=False):
                yield selftest.bounds(variant.name, scores)
            for variant, scores in zip(made, own, strict=False):
                yield selftest.sampled(variant.name, scores)
            self.report("scoring against the compact record")
            for variant, scores in zip(made, exact, strict=False):
                yield selftest.record(variant.name, scores, *self._by_record(variant, blocks, record))
            if self.peer:
                yield from self._beside_peer(self._peer(self.peer, folder), made, exact, blocks)

    def _made(self, label: str, folder: Path) -> Variant:
        self.report(f"making {label}")
        path, source = folder / f"{label}.gguf", self.reference.path
        conversion = Conversion(source, header_of(source), path, Recipe(label))
        conversion.run(lambda _progress: None, lambda _bytes: None, self.cancelled)
        return replace(self.reference, name=label, path=path, size_bytes=path.stat().st_size, tag=None)

    def _own_text(self, scorer: Scorer, blocks: Sequence[Block]) -> list[Pooled]:
        """Continuations by the reference, and what all models say of them."""
        self.report("scoring the reference's own text")
        tokens = [token for block in blocks for token in block.tokens]
        starts = range(0, len(tokens), len(tokens) // _ANSWERS)[:_ANSWERS]
        prompts = [tokens[start : start + _PROMPT_TOKENS] for start in starts]
        answers = scorer.sampled(prompts, _ANSWER_TOKENS, range(_ANSWERS))
        texts = [
            Block(len(blocks) + number, "own", (*prompt, *answer), len(prompt), 0)
            for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        ]
        return _by_candidate(list(scorer.score_all(texts)))

    def _by_record(self, variant: Variant, blocks: Sequence[Block], record: Path) -> tuple[Pooled, Floats]:
        """With the part of each token's KL divergence that no sample decides."""
        with Scorer.running(None, [variant], record, self.cancelled) as scorer:
            scored = list(scorer.score_all(blocks))
        (scores,) = _by_candidate(scored)
        return scores, np.concatenate([block.candidates[0].lumped for block in scored])

    def _peer(self, binary: Path, folder: Path) -> Peer:
        text = folder / "text.txt"
        text.write_text(corpus.prose(), encoding="utf-8", newline="")
        return Peer(binary, text, LENGTH_TOKENS, _CHUNKS, folder / "base.logits")

    def _beside_peer(
        self, peer: Peer, made: Sequence[Variant], exact: Sequence[Pooled], blocks: Sequence[Block]
    ) -> Iterator[Check]:
        self.report("llama-perplexity: the reference")
        ppl = perplexity(exact[0].reference_nll, exact[0].clusters)
        yield selftest.close("the reference: perplexity", ppl, peer.base(self.reference), 0, 1e-4)
        with Scorer.running(None, made, None, self.cancelled) as scorer:
            beside_file = zip(*scorer.score_beside_file(peer.logits, blocks), strict=True)
        for variant, scores, stored in zip(made, exact, beside_file, strict=False):
            self.report(f"llama-perplexity: {variant.name}")
            yield from selftest.against_peer(variant.name, scores, stored, peer.figures(variant))


def _by_candidate(scored: Sequence[Scored]) -> list[Pooled]:
    return [
        pooled([block.reference for block in scored], [block.candidates[number] for block in scored])
        for number in range(len(scored[0].candidates))
    ]
