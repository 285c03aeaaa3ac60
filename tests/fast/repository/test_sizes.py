"""Code stays small enough to read: files, functions, and all of it."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROOMS = ("native", "modelstore", "runner", "tui")
FILE_LINES, TEST_FILE_LINES, MEDIAN_FILE_LINES, FUNCTION_LINES, TOTAL_CODE_LINES = 400, 600, 130, 60, 27_200


def sources(*folders: str) -> dict[Path, str]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths}


@cache
def statements(source: str) -> list[ast.AST]:
    """All of them, however deep; what they are made of is not looked at."""
    found: list[ast.AST] = [ast.parse(source)]
    # The list grows while it is walked.
    for node in found:
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            found += getattr(node, block, ())
    return found


def code_lines(source: str) -> int:
    """Lines with code on them: no blank ones, no comments, no docstrings."""
    prose: set[int] = set()
    for node in statements(source):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(1 for number, line in lines if number not in prose and line.strip() and line.strip()[0] != "#")


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Every function with its length in lines, signature and docstring included."""
    for node in statements(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_and_total() -> None:
    ours = sources(*ROOMS)
    lines = {path: len(source.splitlines()) for path, source in ours.items() if source.strip()}
    total = {room: sum(code_lines(s) for path, s in ours.items() if path.parts[0] == room) for room in ROOMS}
    median = statistics.median(lines.values())
    longest = max(lines, key=lambda path: lines[path])
    print(f"{len(lines)} files, median {median:.0f} lines, longest {longest} with {lines[longest]}")
    print(
        f"{sum(total.values()):,} lines of code: " + ", ".join(f"{room} {n:,}" for room, n in total.items())
    )
    assert {str(path): count for path, count in lines.items() if count > FILE_LINES} == {}
    assert median <= MEDIAN_FILE_LINES
    assert sum(total.values()) <= TOTAL_CODE_LINES


def test_test_files() -> None:
    lines = {str(path): len(source.splitlines()) for path, source in sources("tests").items()}
    assert {path: count for path, count in lines.items() if count > TEST_FILE_LINES} == {}


def test_functions() -> None:
    lengths = [
        (length, f"{path}: {name}")
        for path, source in sources(*ROOMS, "tests").items()
        for name, length in functions(source)
    ]
    print(f"{len(lengths)} functions, median {statistics.median(n for n, _ in lengths):.0f} lines")
    assert [entry for entry in lengths if entry[0] > FUNCTION_LINES] == []
