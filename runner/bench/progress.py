"""What a benchmark says while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Report(ABC):
    """`warnings` are for the reader of the result."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    @abstractmethod
    def begin(self, test: str) -> None:
        """The warm-up of `test` begins."""

    @abstractmethod
    def repeated(self, result: str) -> None:
        """Another repetition of it is done."""

    def warn(self, text: str) -> None:
        self.warnings.append(text)
