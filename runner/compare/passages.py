"""Which texts are scored: the user's own, the reference's answers with fixed texts beside them, or these
alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from modelstore.errors import Unusable
from runner.compare import corpus, plan
from runner.compare.answers import AnswerPlan, answer_blocks
from runner.compare.block import Block
from runner.compare.blocks import BESIDE, EFFICIENT, compatible, stream_digest, text_blocks
from runner.compare.evidence import Evidence
from runner.compare.forks import Asked
from runner.compare.keys import TextKey
from runner.compare.rendering import Chat, prompt_tokens, rendered, template_digest
from runner.compare.scoring import Scorer
from runner.wire.compare import CompareRequest

FIXED = "fixed text"
_SEED = 1
_OPENING_TOKENS = 64

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Passages:
    """`main` is what the figures are of; `fixed` has no model written, for bits per byte (empty where `main`
    serves). Numbered through, `main` first. `template` is the digest of the chat template, None without."""

    kind: str
    main: tuple[Block, ...]
    fixed: tuple[Block, ...] = ()
    template: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self.main + self.fixed

    @property
    def stream(self) -> str:
        return stream_digest(self.blocks)

    def facts(self) -> dict[str, str]:
        """For the result."""
        facts = {"kind": self.kind, "tokens": str(sum(block.scored_tokens for block in self.main))}
        facts["stream"] = self.stream
        return facts | ({"template": self.template} if self.template else {})


@dataclass(frozen=True, slots=True)
class Prompt:
    """To be answered greedily."""

    asked: Asked
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where texts come from: the request, the reference's own chat template, and answers that it has written
    before. `key` is that of its answers but for what is asked."""

    request: CompareRequest
    chat: Chat | None
    evidence: Evidence
    key: TextKey

    def passages(self, scorer: Scorer, report: Report) -> Passages:
        """Raises UserError for a text that is too short, Unusable for an altered corpus."""
        request = self.request
        window = compatible() if request.compatible else EFFICIENT
        if request.text is not None:
            blocks = text_blocks(scorer, request.text, window, plan.chunks(request))
            return Passages("your own text", tuple(blocks))
        if request.compatible or self.chat is None:
            blocks = corpus.fixed_blocks(scorer, window, plan.chunks(request))
            return Passages("texts of nybble's", tuple(blocks))
        return self._answers(scorer, self.chat, report)

    def _answers(self, scorer: Scorer, chat: Chat, report: Report) -> Passages:
        try:
            main = self._written(scorer, chat, report)
        except Unusable as error:
            blocks = corpus.fixed_blocks(scorer, EFFICIENT, plan.chunks(self.request))
            note = f"texts of nybble's were scored, not the reference's own answers: {error.message}"
            return Passages("texts of nybble's", tuple(blocks), notes=(note,))
        fixed = corpus.fixed_blocks(scorer, BESIDE, plan.fixed_chunks(self.request))
        numbered = [
            replace(block, index=len(main) + number, domain=FIXED) for number, block in enumerate(fixed)
        ]
        return Passages("the reference's own answers", main, tuple(numbered), template_digest(chat.template))

    def _written(self, scorer: Scorer, chat: Chat, report: Report) -> tuple[Block, ...]:
        """Once written they stay: a resumed run scores the same tokens."""
        wanted = AnswerPlan.of(plan.chunks(self.request), _SEED)
        key = replace(self.key, plan=repr(wanted))
        kept = self.evidence.texts(key)
        if not kept:
            kept = list(answer_blocks(scorer, chat, wanted, report))
            self.evidence.keep_texts(key, kept)
        return tuple(kept)

    def prompts(self, scorer: Scorer, blocks: Sequence[Block], count: int) -> list[Prompt]:
        """What is answered greedily: questions in the chat template, or the beginnings of texts."""
        if self.chat is None or self.request.text is not None:
            return [_opening(scorer, block) for block in blocks[:count]]
        questions = list(islice(corpus.prompts(), count))
        texts = rendered(self.chat, [text for _, text in questions])
        return [
            Prompt(Asked(text, domain), tuple(prompt_tokens(scorer, self.chat, segments)))
            for (domain, text), segments in zip(questions, texts, strict=True)
        ]


def _opening(scorer: Scorer, block: Block) -> Prompt:
    tokens = block.tokens[:_OPENING_TOKENS]
    text = b"".join(scorer.pieces(tokens)).decode("utf-8", "replace")
    return Prompt(Asked(text, block.domain), tokens)
