"""From texts to the tokens that an embedding model or a reranker reads. Control tokens spelled in a text stay
text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from native.embedding import closing_tokens, pair_marks, rerank_template
from native.llama import Model

_PLACE = re.compile(r"\{(query|document)\}")


@dataclass(frozen=True, slots=True)
class Input:
    """`text` may be cut at its end; what is around it may not."""

    before: list[int]
    text: list[int]
    after: list[int]

    def __len__(self) -> int:
        return len(self.before) + len(self.text) + len(self.after)

    def cut(self, limit: int) -> list[int] | None:
        """At most `limit` tokens; None if that takes all of the text."""
        excess = max(0, len(self) - limit)
        if excess and excess >= len(self.text):
            return None
        return self.before + self.text[: len(self.text) - excess] + self.after


class Inputs:
    """Prepares what one model reads."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._closing = closing_tokens(model)
        self._marks = pair_marks(model)
        template = rerank_template(model)
        self._pieces = self._controls(template).split(template) if template else []

    def single(self, text: str) -> Input:
        """A text to embed, with what the vocabulary wants around it. Raises LlamaError."""
        tokens = self._model.tokenize(text, add_special=True, parse_special=False)
        if not tokens:
            # Nothing to read is nothing to embed; a token that ends texts stands for it.
            token = self._model.bos_token if self._model.bos_token >= 0 else self._model.eos_token
            return Input([], [token], [])
        begin = int(tokens[0] == self._model.bos_token)
        end = len(tokens) - (len(tokens) > begin and tokens[-1] in self._closing)
        return Input(tokens[:begin], tokens[begin:end], tokens[end:])

    def pair(self, query: str, document: str) -> Input:
        """A document to score as an answer to `query`, as the file's template or its vocabulary has it.
        Raises LlamaError."""
        if self._pieces:
            return self._filled({"query": query, "document": document})
        marks = self._marks
        return Input(marks.before + self._plain(query) + marks.between, self._plain(document), marks.behind)

    def _plain(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_special=False, parse_special=False)

    def _filled(self, values: dict[str, str]) -> Input:
        """Only the template's own control tokens are read as such: it is split at them, then filled."""
        before: list[int] = []
        text: list[int] = []
        after: list[int] = []
        part = before
        for index, piece in enumerate(self._pieces):
            lead, document, rest = piece.partition("{document}")
            if document:
                text += self._plain(_fill(lead + document, values))
                piece, part = rest, after
            is_control = index % 2 == 1
            part += self._model.tokenize(_fill(piece, values), add_special=False, parse_special=is_control)
        return Input(before, text, after)

    def _controls(self, template: str) -> re.Pattern[str]:
        """Matches the control tokens in the template, as a group: so `split` gives them out, too."""
        present = [re.escape(token) for token in self._model.control_tokens() if token and token in template]
        return re.compile(f"({'|'.join(present) or '(?!)'})")


def _fill(piece: str, values: dict[str, str]) -> str:
    return _PLACE.sub(lambda match: values[match[1]], piece)
