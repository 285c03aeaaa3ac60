"""Which texts are scored: the user's own, the reference's answers with fixed texts beside them, or these
alone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelstore.errors import Unusable
from runner.compare import corpus, plan
from runner.compare.answers import AnswerPlan, Batch, Manuscript, Report
from runner.compare.blocks import EFFICIENT, Block, compatible, stream_digest, text_blocks
from runner.compare.evidence import Evidence, Key
from runner.compare.forks import Asked
from runner.compare.questions import in_chat, openings, questions
from runner.compare.rendering import Chat, template_digest
from runner.compare.scoring import Scorer
from runner.errors import TemplateFailed
from runner.wire.compare import CompareRequest

FIXED = "fixed text"
_FIRST_FIXED = 100_000
_SEED = 1


class Passages:
    """`main` is what the figures are of, and grows where the reference is still writing it; `fixed` has no
    model written, for bits per byte (empty where `main` serves), and is numbered behind all that `main` may
    become. `template` is the digest of the chat template, None without; `stream` that of the tokens which
    scoring begins with: what is written later follows from the same model."""

    def __init__(
        self,
        kind: str,
        text: Sequence[Block] | Manuscript,
        fixed: Sequence[Block] = (),
        template: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.kind, self.template, self.notes = kind, template, notes
        self.fixed = tuple(replace(block, index=_FIRST_FIXED + block.index) for block in fixed)
        self._text = text
        opening = text.batches[0].blocks if isinstance(text, Manuscript) else text
        self.stream = stream_digest([*opening, *self.fixed])

    @property
    def main(self) -> Sequence[Block]:
        return self._text.blocks if isinstance(self._text, Manuscript) else self._text

    @property
    def blocks(self) -> list[Block]:
        """All that are there so far."""
        return [*self.main, *self.fixed]

    @property
    def missing_tokens(self) -> int:
        """That the reference is still to write, if all is to be scored."""
        return self._text.missing_tokens if isinstance(self._text, Manuscript) else 0

    @property
    def missing_blocks(self) -> int:
        """About as many, if they are as long as those before."""
        written = sum(batch.tokens for batch in self.batches)
        return -(-self.missing_tokens * len(self.main) // written) if written else 0

    @property
    def batches(self) -> Sequence[Batch]:
        """Of answers, as they were written."""
        return self._text.batches if isinstance(self._text, Manuscript) else ()

    def grow(self, scorer: Scorer, report: Report) -> None:
        """The reference, the first of the scorer's models, writes more."""
        if isinstance(self._text, Manuscript):
            self._text.write(scorer, report)

    def facts(self) -> dict[str, str]:
        """For the result."""
        tokens = sum(block.scored_tokens for block in self.main)
        facts = {"kind": self.kind, "tokens": str(tokens), "stream": self.stream}
        return facts | ({"template": self.template} if self.template else {})


@dataclass(frozen=True, slots=True)
class Source:
    """Where texts come from: the request, the reference's own chat template, and answers that it has written
    before, which are kept under `key` and what is asked; what it writes anew is told to `report`."""

    request: CompareRequest
    chat: Chat | None
    evidence: Evidence
    key: Key
    report: Report
    has_foreign: bool = False
    """Whether models of other vocabularies are asked, too: for the same bytes."""

    def passages(self, scorer: Scorer) -> Passages:
        """With as much text as scoring can begin with. Raises UserError for a text that is too short,
        Unusable for an altered corpus."""
        notes = []
        if self.chat is not None and self.request.text is None and not self.request.compatible:
            try:
                return self._answers(scorer, self.chat)
            except Unusable as error:
                notes = [f"texts of nybble's were scored, not the reference's own answers: {error.message}"]
        kind = "texts of nybble's" if self.request.text is None else "your own text"
        fixed = self.excerpts(scorer) if self.has_foreign else ()
        return Passages(kind, self.windows(scorer), fixed, notes=notes)

    def windows(self, scorer: Scorer) -> list[Block]:
        """Text that no model wrote, in runs of tokens."""
        window, chunks = compatible() if self.request.compatible else EFFICIENT, plan.chunks(self.request)
        if self.request.text is not None:
            return text_blocks(scorer, self.request.text, window, chunks)
        return corpus.fixed_blocks(scorer, window, chunks)

    def excerpts(self, scorer: Scorer) -> list[Block]:
        """The same bytes of it in every vocabulary; none of a text that is too short."""
        found = corpus.excerpt_blocks(scorer, plan.excerpts(self.request), self.request.text)
        return [replace(block, domain=FIXED) for block in found]

    def _answers(self, scorer: Scorer, chat: Chat) -> Passages:
        wanted = AnswerPlan.of(plan.chunks(self.request), _SEED)
        key = replace(self.key, kind="texts", what=wanted.batches)
        manuscript = Manuscript(chat, wanted, self.evidence, key)
        if not manuscript.blocks:
            manuscript.write(scorer, self.report)
        template = template_digest(chat.template)
        return Passages("the reference's own answers", manuscript, self.excerpts(scorer), template)

    def prompts(self, scorer: Scorer, blocks: Sequence[Block]) -> list[Asked]:
        """What is answered greedily: beginnings of texts where there is nobody to talk to."""
        wanted = plan.ANSWERING[self.request.effort]
        if self.chat is not None and self.request.text is None:
            with contextlib.suppress(TemplateFailed):  # said in a note where answers were to be scored
                return in_chat(scorer, self.chat, questions(wanted))
        return openings(scorer, blocks, wanted)
