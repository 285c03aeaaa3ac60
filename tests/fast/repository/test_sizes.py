"""Code stays small enough to read: files, functions, and all of it."""

from __future__ import annotations

import ast
import statistics
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROOMS = ("native", "modelstore", "runner", "tui")
FILE_LINES, TEST_FILE_LINES, MEDIAN_FILE_LINES, FUNCTION_LINES, TOTAL_CODE_LINES = 400, 600, 130, 60, 27_220


def sources(*folders: str) -> dict[Path, str]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths}


@dataclass(frozen=True, slots=True)
class Size:
    """`code_lines` have code on them: no blank ones, no comments, no docstrings. `functions` are names and
    lengths in lines, signature and docstring included."""

    code_lines: int
    functions: list[tuple[str, int]]


@cache
def size(source: str) -> Size:
    """Only the numbers are kept: the trees of all files are millions of objects."""
    prose: set[int] = set()
    functions: list[tuple[str, int]] = []
    for node in statements(source):
        match node:
            case ast.Expr(ast.Constant(str())):
                prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                functions.append((node.name, (node.end_lineno or node.lineno) - node.lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    code = (1 for number, line in lines if number not in prose and line.strip() and line.strip()[0] != "#")
    return Size(sum(code), functions)


def statements(source: str) -> list[ast.AST]:
    """All of them, however deep; what they are made of is not looked at."""
    found: list[ast.AST] = [ast.parse(source)]
    # The list grows while it is walked.
    for node in found:
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            found += getattr(node, block, ())
    return found


def test_files_and_total() -> None:
    ours = sources(*ROOMS)
    lines = {path: len(source.splitlines()) for path, source in ours.items() if source.strip()}
    total = {
        room: sum(size(s).code_lines for path, s in ours.items() if path.parts[0] == room) for room in ROOMS
    }
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
        for name, length in size(source).functions
    ]
    print(f"{len(lengths)} functions, median {statistics.median(n for n, _ in lengths):.0f} lines")
    assert [entry for entry in lengths if entry[0] > FUNCTION_LINES] == []
