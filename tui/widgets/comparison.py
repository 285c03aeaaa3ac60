"""A comparison: the table that fills, and below it the result, or one variant in detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from runner.readout.course import Course
from runner.readout.detail import answer, answers_summary, fork_head, kinds
from runner.readout.numbers import bar
from runner.readout.plot import MEASURES, plot
from runner.readout.span import Line, Span
from runner.readout.table import LEGEND, table
from runner.readout.verdict import notes, progress_share, progress_words, recommendation
from runner.text import clean_name
from runner.wire.compare import VariantResult
from tui.comparing import Comparing
from tui.keys import bindings, first_key
from tui.widgets.lists import KeyList
from tui.widgets.paint import dim, painted
from tui.wording import problem

_PLOT_WIDTH, _PLOT_HEIGHTS = 64, (12, 17)
_WORDS_WIDTH = 34
"""The least that sentences need beside the plot; with less they stand below."""
_HEAD_LINES = 2
_BESIDE = 2
"""Cells of the scrollbar, and before it."""

View = Literal["result", "kinds of text", "answers"]
VIEWS: tuple[View, ...] = get_args(View)


@dataclass(frozen=True, slots=True)
class Page:
    """What the lower half shows: two columns between two blocks."""

    top: Sequence[Line] = ()
    left: Sequence[Line] = ()
    right: Sequence[Line] = ()
    bottom: Sequence[Line] = ()


class VariantList(KeyList):
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The page keys scroll what is below."""
        return action not in ("page_down", "page_up")


class ComparisonView(Vertical):
    BINDINGS = bindings("Comparison")

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._comparing = Comparing()
        self._view, self._answer, self._against = 0, 0, 0
        self._heads = Static(classes="heads", markup=False)
        self.list = VariantList()
        self._legend = Static(LEGEND, classes="legend", markup=False)
        self._course = Static(classes="course", markup=False)
        self._views = Static(classes="views", markup=False)
        self._views.auto_links = False
        self._detail = VerticalScroll(can_focus=False)
        self._parts = {part: Static(classes=part, markup=False) for part in Page.__slots__}

    def compose(self) -> ComposeResult:
        yield from (self._heads, self.list, self._legend, self._course, self._views)
        with self._detail:
            yield self._parts["top"]
            with Horizontal():
                yield self._parts["left"]
                yield self._parts["right"]
            yield self._parts["bottom"]

    def show(self, comparing: Comparing) -> None:
        if comparing != self._comparing:
            self._comparing = comparing
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        course, width = self._comparing.shown, self.scrollable_content_region.width
        if course is None or not width:
            return
        lines = table(course, width)
        self._heads.update(painted(lines[:_HEAD_LINES]))
        names = [variant.name for variant in course.ranked]
        rows = zip(names, lines[_HEAD_LINES:], strict=True)
        self.list.refill([Option(painted([line]), id=name) for name, line in rows])
        if self.list.highlighted is None:
            self.list.mark(course.choice or next(iter(names[1:]), None))
        self._legend.display = bool(names)
        self._course.display = course.comparison is None
        self._course.update(_course(self._comparing, course))
        self._draw_detail()

    @on(OptionList.OptionHighlighted)
    def _draw_detail(self) -> None:
        course = self._comparing.shown
        if course is None:
            return
        width = self.scrollable_content_region.width - _BESIDE
        view, variant = VIEWS[self._view], self._variant(course)
        self.set_class(width < _PLOT_WIDTH + _WORDS_WIDTH, "-stacked")
        self.set_class(view == "answers", "-answers")
        self._views.display = variant is not None
        self._views.update(self._tabs(course, variant))
        page = self._result(course, width) if variant is None or view == "result" else Page()
        if variant is not None and view != "result":
            page = _kinds(variant) if view == "kinds of text" else self._answers(course, variant)
            page = page if page.top else Page(top=[(Span(_missing(course, variant), "dim"),)])
        for name, part in self._parts.items():
            lines = getattr(page, name)
            part.display = bool(lines)
            part.update(painted(lines))
        self.refresh_bindings()

    def _variant(self, course: Course) -> VariantResult | None:
        option = self.list.highlighted_option
        return next((each for each in course.variants if option and each.name == option.id), None)

    def _tabs(self, course: Course, variant: VariantResult | None) -> Content:
        """The views, each to be clicked, and what the one that is shown is about."""
        parts = []
        for index, view in enumerate(VIEWS):
            style = "bold underline $text-accent" if index == self._view else "$foreground 70%"
            click = Style.from_meta({"@click": f"screen.view({index})"})
            parts.append(Content(view.capitalize()).stylize(style).stylize(click))
        about = "" if variant is None or self._view == 0 else clean_name(variant.name)
        against = f" against {clean_name(course.reference)}" if about and course.reference else ""
        return Content("   ").join([*parts, Content(about + against).stylize("bold")])

    def _result(self, course: Course, width: int) -> Page:
        found = course.comparison.recommendation if course.comparison else None
        least, most = _PLOT_HEIGHTS
        height = max(least, min(self._detail.size.height, most))
        drawn = plot(course, min(width, _PLOT_WIDTH), height, MEASURES[self._against])
        if not drawn and self._against:
            drawn = [(Span(f"No {MEASURES[self._against]} to draw yet.", "dim"),)]
        words = _spaced(recommendation(found)) if found else []
        return Page(left=words, right=drawn, bottom=notes(course))

    def _answers(self, course: Course, variant: VariantResult) -> Page:
        answers, reference = variant.answers, course.reference or ""
        if answers is None or not answers.forks or variant.name == reference:
            return Page()
        number = self._answer % len(answers.forks)
        fork = answers.forks[number]
        return Page(
            top=fork_head(fork, f"{number + 1} of {len(answers.forks)}"),
            left=answer(fork, reference, is_reference=True),
            right=answer(fork, variant.name, is_reference=False),
            bottom=answers_summary(answers),
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        view = VIEWS[self._view]
        return {"axes": view == "result", "answer": view == "answers"}.get(action, True)

    @on(OptionList.OptionSelected)
    def _open(self) -> None:
        self.show_view(max(self._view, 1))

    def show_view(self, index: int) -> None:
        self._view = index % len(VIEWS)
        self._detail.scroll_home(animate=False)
        self._draw_detail()

    def action_turn(self, steps: int) -> None:
        self.show_view(self._view + steps)

    def action_answer(self, steps: int) -> None:
        self._answer += steps
        self._draw_detail()

    def action_axes(self) -> None:
        self._against = (self._against + 1) % len(MEASURES)
        self._draw_detail()
        self._parts["right"].scroll_visible(animate=False)

    def action_page(self, steps: int) -> None:
        self._detail.scroll_relative(y=steps * self._detail.size.height, animate=False)


def _kinds(variant: VariantResult) -> Page:
    if variant.is_reference:
        return Page()
    explained = (Span("! is surely worse than this variant's other text", "dim"),)
    is_any_worse = any(row.is_worse for row in variant.domains.values())
    return Page(kinds(variant), bottom=[explained] if is_any_worse else [])


def _missing(course: Course, variant: VariantResult) -> str:
    if variant.name == course.reference:
        return "This is the reference: the others are held against it. j goes to the next one."
    return "Not measured." if course.comparison else "Not measured yet."


def _spaced(lines: list[Line]) -> list[Line]:
    """With an empty line between paragraphs."""
    return [line for paragraph in lines for line in (paragraph, ())][:-1]


def _course(comparing: Comparing, course: Course) -> Content:
    """How far it is, or how it ended."""
    run, back = first_key("compare.run"), first_key("result.back")
    goes_on = f"{run} goes on from here; nothing measured is lost."
    if not course.variants:
        goes_on = f"{run} tries again, {back} goes back to change it."
    if comparing.error is not None:
        reason, *hint = problem(comparing.error)
        failed = Content(reason).stylize("$text-error")
        return Content("\n").join([failed, *map(dim, hint), Content(goes_on)])
    if not comparing.is_running:
        return Content(f"Stopped. {goes_on}")
    share = progress_share(course)
    words = [bar(share)] if share is not None else []
    return Content("  ".join([*words, progress_words(course)])).stylize("$text-accent")
