"""The compare screen: set up, run and watch a comparison, and open earlier ones."""

from __future__ import annotations

from dataclasses import replace

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList

from runner.readout.verdict import running_words
from tui.comparing import Comparing
from tui.desk import Desk
from tui.keys import bindings, first_key
from tui.screens.picker import ModelPicker
from tui.state import State
from tui.widgets.compare_setup import CompareSetup
from tui.widgets.comparison import ComparisonView
from tui.widgets.earlier import EarlierList
from tui.widgets.key_line import KeyLine
from tui.widgets.status import StatusLine
from tui.wording import short_model

_RUN = "compare"
"""The group of the app's worker: leaving the screen leaves it going."""


class CompareScreen(Screen[None]):
    BINDINGS = bindings("Compare")
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]
        self._desk = desk
        self._status = StatusLine()
        self._earlier = EarlierList(id="earlier-list")
        self._setup = CompareSetup(id="setup")
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
        self._earlier.show(now.earlier, self._desk.clock.now().tzinfo)
        self.set_class(now.shown is None, "-setup")
        self._setup.show(state, self._model)
        self._view.show(now)
        if before.is_running and not now.is_running and not self.is_current:
            self._tell_the_end(now)
        if (before.shown is None) != (now.shown is None):
            self._enter()
        self.refresh_bindings()

    @property
    def _model(self) -> str | None:
        return self._desk.state.comparing.setup.model or self._desk.state.model

    def _enter(self) -> None:
        (self._setup.quants if self._shown.shown is None else self._view).focus()

    def _tell_the_end(self, now: Comparing) -> None:
        ended = "could not be finished" if now.error else "is done"
        name, key = short_model(now.model or ""), first_key("app.compare")
        self.app.notify(f"The comparison of {name} {ended}: {key} shows it.", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        now = self._shown
        is_setup, is_over = now.shown is None, now.is_run_shown and not now.is_running
        can_go_on = is_over and now.run is not None and now.run.comparison is None
        return {
            "run": self._model is not None and not now.is_running and (is_setup or can_go_on),
            "leave": now.is_run_shown and now.is_running,
            "back": now.opened is not None or is_over,
            "pick_model": is_setup,
            "effort": is_setup,
            "intent": is_setup,
        }.get(action, True)

    # Set up

    def action_effort(self) -> None:
        self._set_up(replace(self._shown, setup=self._shown.setup.with_next_effort()))

    def action_intent(self) -> None:
        self._set_up(replace(self._shown, setup=self._shown.setup.with_next_intent()))

    @on(OptionList.OptionSelected, "QuantList")
    def _toggle(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            self._set_up(replace(self._shown, setup=self._shown.setup.toggled(event.option_id)))

    @work(group="picker", exclusive=True)
    async def action_pick_model(self) -> None:
        """A name that is not here is fetched by the comparison itself."""
        choice = await self.app.push_screen_wait(ModelPicker(self._desk.state))
        if choice is not None:
            self._set_up(replace(self._shown, setup=self._shown.setup.with_model(choice.name)))

    def _set_up(self, comparing: Comparing) -> None:
        self._desk.compare_as(comparing)

    # Run

    def action_run(self) -> None:
        if self._model is not None:
            self.app.run_worker(self._desk.compare(self._model), group=_RUN, exclusive=True)

    def action_leave(self) -> None:
        self.app.workers.cancel_group(self.app, _RUN)

    def action_back(self) -> None:
        self._desk.compare_as(self._shown.closed())

    # Earlier ones

    def action_earlier(self) -> None:
        self.add_class("-earlier")
        self._earlier.enter()

    @on(OptionList.OptionSelected, "EarlierList OptionList")
    def _open(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            self._open_comparison(int(event.option_id))

    @work(group="open", exclusive=True)
    async def _open_comparison(self, number: int) -> None:
        await self._desk.open_comparison(number)
        self._leave_earlier()

    @on(EarlierList.Left)
    def _leave_earlier(self) -> None:
        self.remove_class("-earlier")
        self._enter()


def _status(now: Comparing) -> Content:
    """Model and state of what is shown, also of a run in the background."""
    if now.is_running and now.run is not None:
        running = Content(f"◐ {running_words(now.run)}").stylize("$text-warning")
        return Content(f"{short_model(now.model or '')}  ") + running
    course = now.shown
    if course is None:
        return Content()
    name = now.opened.model if now.opened is not None else now.model or ""
    mark, words, color = "●", "done", "$text-success"
    if now.opened is None and now.error is not None:
        mark, words, color = "✕", "failed", "$text-error"
    elif course.comparison is None:
        mark, words, color = "○", "stopped", "$foreground-muted"
    return Content(f"{short_model(name)}  ") + Content(f"{mark} {words}").stylize(color)
