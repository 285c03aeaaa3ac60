"""The compare screen: set up, run and watch a comparison, and open earlier ones."""

from __future__ import annotations

from datetime import tzinfo

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen

from runner.readout.verdict import running_words
from runner.text import clean_name, typed_path
from runner.wire.compare import ComparisonInfo
from tui.comparing import Comparing
from tui.desk import Desk
from tui.exporting import QUESTION, format_of, proposed, wrong
from tui.keys import bindings, first_key
from tui.screens.question import Ask
from tui.state import State
from tui.widgets.compare_setup import CompareSetup
from tui.widgets.comparison import ComparisonView
from tui.widgets.key_line import KeyLine
from tui.widgets.lists import Row, SideList
from tui.widgets.status import StatusLine, doing
from tui.wording import short_model

_RUN = "compare"
"""The group of the app's worker: leaving the screen leaves it going."""


class CompareScreen(Screen[None]):
    BINDINGS = bindings("Compare")
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._status = StatusLine()
        self._earlier = SideList("Comparisons", id="earlier-list")
        self._setup = CompareSetup(desk, id="setup")
        self._view = ComparisonView(id="comparison")
        self._shown = Comparing()

    def compose(self) -> ComposeResult:
        yield self._status
        with Horizontal():
            yield self._earlier
            yield self._setup
            yield self._view
        yield KeyLine()

    def on_mount(self) -> None:
        self._desk.subscribe(self._show)
        self._enter()
        self.run_worker(self._desk.refresh_comparisons(), group="refresh")

    def _show(self, state: State) -> None:
        before, now = self._shown, state.comparing
        self._shown = now
        self._status.show("Compare", _status(now))
        zone = self._desk.clock.now().tzinfo
        self._earlier.show([_row(info, zone) for info in now.earlier])
        self.set_class(now.shown is None, "-setup")
        self._setup.show(state)
        self._view.show(now)
        if before.is_running and not now.is_running:
            self.run_worker(self._desk.refresh_comparisons(), group="refresh")
            if not self.is_current:
                self._tell_the_end(now)
        if (before.shown is None) != (now.shown is None):
            self._enter()
        self.refresh_bindings()

    def _enter(self) -> None:
        (self._setup if self._shown.shown is None else self._view).list.focus()

    def _tell_the_end(self, now: Comparing) -> None:
        ended = "could not be finished" if now.error else "is done"
        name, key = short_model(now.ran.model or ""), first_key("app.compare")
        self.app.notify(f"The comparison of {name} {ended}: {key} shows it.", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        now = self._shown
        model = now.next.model or self._desk.state.model
        return {
            "run": model is not None and not now.is_running,
            "leave": now.is_run_shown and now.is_running,
            "back": now.opened is not None or (now.is_run_shown and not now.is_running),
            "pick_model": now.shown is None,
            "export": now.shown is not None and now.shown.comparison is not None,
        }.get(action, True)

    def action_pick_model(self) -> None:
        self._setup.pick_model()

    def action_view(self, index: int) -> None:
        self._view.show_view(index)

    # Run

    def action_run(self) -> None:
        self.app.run_worker(self._desk.compare(self._shown.next), group=_RUN, exclusive=True)

    def action_leave(self) -> None:
        self.app.workers.cancel_group(self.app, _RUN)

    def action_back(self) -> None:
        self._desk.compare_as(self._shown.closed())

    @work
    async def action_export(self) -> None:
        course = self._shown.shown
        comparison = None if course is None else course.comparison
        if comparison is None or comparison.id is None:
            return
        words = await self.app.push_screen_wait(Ask(QUESTION, proposed(comparison), wrong))
        if words and (format_name := format_of(file := typed_path(words))):
            self.notify("Saving …", timeout=2)
            if await self._desk.export(comparison.id, file, format_name):
                self.notify(f"Wrote {clean_name(str(file))}", markup=False)

    # Earlier ones

    def action_earlier(self) -> None:
        self.add_class("-earlier")
        self._earlier.action_enter()

    @on(SideList.Opened)
    @work(group="open", exclusive=True)
    async def _open_comparison(self, event: SideList.Opened) -> None:
        await self._desk.open_comparison(event.id)
        self._leave_earlier()

    @on(SideList.Left)
    def _leave_earlier(self) -> None:
        self.remove_class("-earlier")
        self._enter()


def _row(info: ComparisonInfo, zone: tzinfo | None) -> Row:
    if info.created_at is None:
        return Row(info.id, f"Comparison {info.id}", "cannot be read")
    what = f"★ {clean_name(info.choice)}" if info.choice else "no choice" if info.is_finished else "stopped"
    when = info.created_at.astimezone(zone).strftime("%b %d %H:%M")
    return Row(info.id, short_model(info.model), f"{what} · {when}")


def _status(now: Comparing) -> Content:
    """Model and state of what is shown, also of a run in the background."""
    if now.is_running and now.run is not None:
        return doing(now.ran.model, "◐", running_words(now.run), "$text-warning")
    if now.opened is not None:
        return doing(now.opened.model, "●", "done", "$text-success")
    if now.run is None:
        return Content()
    if now.error is not None:
        return doing(now.ran.model, "✕", "failed", "$text-error")
    if now.run.comparison is None:
        return doing(now.ran.model, "○", "stopped", "$foreground 70%")
    return doing(now.ran.model, "●", "done", "$text-success")
