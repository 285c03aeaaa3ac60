"""The table of a comparison: a row for each variant, and as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from runner.readout.course import Course
from runner.readout.numbers import UNKNOWN, ByteUnit, Figure, byte_unit, figure
from runner.readout.span import Line, Role, Span
from runner.text import clean_name
from runner.wire.compare import ALL_TASKS, Estimate, VariantResult

CHOICE_MARK, FRONT_MARK, PROBLEM_MARK = "★", "P", "!"
LEGEND = (
    f"{CHOICE_MARK} recommended   {FRONT_MARK} Pareto front   ╭╰ tie   {PROBLEM_MARK} see below   ~ predicted"
)
_ROLES: dict[str, Role] = {CHOICE_MARK: "choice", FRONT_MARK: "front", PROBLEM_MARK: "warning"}
_GAP = "  "
_LONGEST_NAME = 24
_HEAD_LINES = 2
_TELLING_P = 0.05
_MARGIN = 5
"""Cells before the name, for mark and letter; those for ties come to it."""


@dataclass(frozen=True, slots=True)
class Column:
    """`importance`: the columns with the lowest stay when room is short."""

    heads: tuple[str, str]
    importance: int
    cells: tuple[Figure, ...]

    @property
    def is_empty(self) -> bool:
        return all(cell.value == UNKNOWN for cell in self.cells)

    @property
    def width(self) -> int:
        return max(map(len, (*self.heads, *map(self._cell, self.cells))))

    def lines(self) -> list[str]:
        """Two of heads, then one for each row; all equally long."""
        texts = [self._cell(cell) for cell in self.cells]
        return [text.rjust(self.width) for text in (*self.heads, *texts)]

    def _cell(self, cell: Figure) -> str:
        """Figures stand under figures, words at the right."""
        value, rest = _parted(cell)
        width = max(len(_parted(each)[1]) for each in self.cells)
        return value + (rest.ljust(width) if value[0].isdigit() else rest)


def _parted(cell: Figure) -> tuple[str, str]:
    """A figure and its uncertainty; words are whole."""
    if cell.error:
        return cell.value, f" ± {cell.error}"
    value, gap, interval = cell.value.partition(" (")
    return value, gap + interval


def table(course: Course, width: int) -> list[Line]:
    """Lines of at most `width` cells, two of them heads; none as long as no variant is known."""
    rows = course.ranked
    if not rows:
        return []
    names = [_short(variant.name) for variant in rows]
    name_width = max(map(len, ["FILE", *names]))
    ties = _brackets(course, rows)
    margin = _MARGIN + len(ties[0])
    columns = _chosen(_columns(course, rows), width - margin - name_width)
    cells = [column.lines() for column in columns]
    heads = ((Span(" " * margin + name.ljust(name_width), "head"),) for name in ("FILE", ""))
    firsts = [*heads, *_margins(course, rows, ties, [name.ljust(name_width) for name in names])]
    values = ("".join(_GAP + lines[index] for lines in cells) for index in range(len(firsts)))
    return [
        (*first, Span(value, "head" if index < _HEAD_LINES else "plain"))
        for index, (first, value) in enumerate(zip(firsts, values, strict=True))
    ]


def _margins(
    course: Course, rows: Sequence[VariantResult], ties: Sequence[str], names: Sequence[str]
) -> Iterator[Line]:
    """Mark, tie, letter and name of each row."""
    for variant, tie, name in zip(rows, ties, names, strict=True):
        mark = _mark(course, variant)
        role = _ROLES.get(mark, "plain")
        letter = course.letters[variant.name]
        yield (Span(f"{mark} ", role), Span(tie, "dim"), Span(f" {letter} {name}", role))


def _chosen(columns: Sequence[Column], width: int) -> list[Column]:
    """The most important ones that fit, in their order."""
    chosen: set[str] = set()
    for column in sorted(columns, key=lambda column: column.importance):
        if (left := width - len(_GAP) - column.width) >= 0:
            chosen.add(column.heads[0])
            width = left
    return [column for column in columns if column.heads[0] in chosen]


def _columns(course: Course, rows: Sequence[VariantResult]) -> list[Column]:
    """All columns; those without any figure only while there may still be one."""
    unit = byte_unit(chain.from_iterable((row.size_bytes, memory_bytes(row)) for row in rows))
    columns = [
        Column(heads, importance, tuple(cell(row) for row in rows))
        for heads, importance, cell in _kinds(course, unit)
    ]
    return [column for column in columns if not (course.comparison and column.is_empty)]


_Kind = tuple[tuple[str, str], int, Callable[[VariantResult], Figure]]


def _kinds(course: Course, unit: ByteUnit) -> Iterable[_Kind]:
    """Heads with the unit, importance, and what is in it. Speeds are those of an empty context."""
    yield ("SIZE", unit.name), 1, lambda row: Figure(unit.of(row.size_bytes))
    yield ("MEMORY", unit.name), 4, lambda row: _memory(row, unit)
    yield ("KL DIVERGENCE", "nats"), 0, lambda row: _kld(row, course)
    yield ("SAME TOP", "%"), 3, lambda row: figure(_quality(row, course, "same_top"), 100)
    yield ("HARD FLIPS", "%"), 7, lambda row: figure(_quality(row, course, "hard_flips"), 100)
    yield ("DECODE", "tok/s"), 2, lambda row: figure(speed_of(row, "decode_tps"))
    yield ("PREFILL", "tok/s"), 6, lambda row: figure(speed_of(row, "prefill_tps"))
    yield ("TTFT", "s"), 8, lambda row: figure(row.speed.server_ttft_s if row.speed else None)
    yield ("LOAD", "s"), 10, lambda row: figure(row.load_s)
    yield ("ENERGY", "J/tok"), 9, lambda row: figure(row.energy.generated_joules_net if row.energy else None)
    yield ("QUALITY", ""), 5, lambda row: _tier(row, course)
    yield ("TASKS", "% right"), 12, lambda row: figure(_tasks_right(row, course), 100)
    yield ("PERPLEXITY", ""), 11, lambda row: figure(row.quality.ppl if row.quality else None)


def _tasks_right(row: VariantResult, course: Course) -> Estimate | None:
    """Only where any variant surely differs from the reference: a few tasks say nothing else."""
    scores = [each.tasks[ALL_TASKS] for each in course.ranked if ALL_TASKS in each.tasks]
    if all(each.p_value > _TELLING_P for each in scores) or ALL_TASKS not in row.tasks:
        return None
    return row.tasks[ALL_TASKS].right


def memory_bytes(row: VariantResult) -> int:
    """Measured, else predicted; the file's size while nothing else is known."""
    return row.size_bytes if row.memory is None else row.memory.measured_bytes or row.memory.total_bytes


def _memory(row: VariantResult, unit: ByteUnit) -> Figure:
    if row.memory is None:
        return Figure(UNKNOWN)
    return Figure(("~" if row.memory.measured_bytes is None else "") + unit.of(memory_bytes(row)))


def _kld(row: VariantResult, course: Course) -> Figure:
    return Figure("reference") if row.name == course.reference else figure(_quality(row, course, "kld_mean"))


def _tier(row: VariantResult, course: Course) -> Figure:
    if row.quality is None or row.name == course.reference:
        return Figure(UNKNOWN)
    return Figure(row.quality.tier or UNKNOWN)


def _quality(row: VariantResult, course: Course, which: str) -> Estimate | None:
    """None for the reference, which is compared with nothing."""
    estimate: Estimate | None = None if row.name == course.reference else getattr(row.quality, which, None)
    return estimate


def speed_of(row: VariantResult, which: str) -> Estimate | None:
    """With an empty context; `which` is a field of SpeedAt."""
    first = min(row.speed.depths, key=lambda at: at.depth, default=None) if row.speed else None
    estimate: Estimate | None = getattr(first, which, None)
    return estimate


def _short(name: str) -> str:
    name = clean_name(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _mark(course: Course, variant: VariantResult) -> str:
    if variant.name == course.choice:
        return CHOICE_MARK
    if variant.problems:
        return PROBLEM_MARK
    return FRONT_MARK if variant.name in course.front else " "


def _brackets(course: Course, rows: Sequence[VariantResult]) -> list[str]:
    """What joins the rows of a tie: `╭`, `│`, `╰`. Ties that overlap stand beside each other."""
    names = [row.name for row in rows]
    lanes: list[list[str]] = []
    for tie in course.ties:
        places = sorted(names.index(name) for name in tie if name in names)
        if len(places) < 2:
            continue
        between = range(places[0] + 1, places[-1])
        lane = next((lane for lane in lanes if not "".join(lane[places[0] : places[-1] + 1]).strip()), None)
        if lane is None:
            lanes.append(lane := [" "] * len(names))
        lane[places[0]], lane[places[-1]] = "╭", "╰"
        for place in between:
            lane[place] = "│" if place in places else "┆"
    return ["".join(signs) for signs in zip(*lanes, strict=True)] if lanes else [" "] * len(names)
