"""Texts in free output from which on a constraint applies."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tail:
    """Output from the first character of a trigger on, as bytes; as tokens too where it begins with one."""

    text: bytes
    tokens: list[int] = field(default_factory=list)


class Trigger:
    """Watches output for the first of several texts, which tokens may spell in any way."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts = [text.encode() for text in texts]
        self._longest = max(map(len, self._texts))
        self._recent: list[tuple[int, bytes]] = []

    def feed(self, token: int, piece: bytes) -> Tail | None:
        """The next token and its bytes. What the output ends with, once one of the texts is in it."""
        self._recent.append((token, piece))
        text = b"".join(data for _, data in self._recent)
        found = [at for at in map(text.find, self._texts) if at >= 0]
        if found:
            return self._tail(text, min(found))
        # The beginning of a trigger is shorter than the trigger.
        while len(text) - len(self._recent[0][1]) >= self._longest:
            text = text[len(self._recent.pop(0)[1]) :]
        return None

    def forget(self) -> None:
        """The token fed last is not part of the output after all."""
        self._recent.pop()

    def _tail(self, text: bytes, start: int) -> Tail:
        at = 0
        for index, (_, data) in enumerate(self._recent):
            if at == start:
                return Tail(text[start:], [token for token, _ in self._recent[index:]])
            at += len(data)
        return Tail(text[start:])
