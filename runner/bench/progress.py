"""What a benchmark says while it runs."""

from __future__ import annotations


class Report:
    """`warnings` are for the reader of the result; this one says nothing else."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def begin(self, test: str) -> None:
        """The warm-up of `test` begins."""

    def repeated(self, result: str) -> None:
        """Another repetition of it is done."""

    def warn(self, text: str) -> None:
        self.warnings.append(text)
