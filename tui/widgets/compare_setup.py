"""Choosing what is compared: one list of what can be set and of the quantizations."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from runner.text import clean_name
from tui.comparing import Offer, Setup, offers
from tui.desk import Desk
from tui.keys import bindings
from tui.knobs import Knob, knobs
from tui.screens.picker import ModelPicker
from tui.screens.question import Ask
from tui.state import State
from tui.widgets.lists import KeyList
from tui.widgets.paint import dim
from tui.wording import short_model, size

_MODEL, _FILE = "model", "file "
"""Ids of rows: the model's, and what stands before the word of a file."""
_LABEL_CELLS = 12


class CompareSetup(Vertical):
    """Changes the setup of the desk's state."""

    BINDINGS = bindings("Setup")

    def __init__(self, desk: Desk, id: str) -> None:
        super().__init__(id=id)
        self._desk = desk
        self.list = KeyList()
        self._meaning = Static(classes="meaning", markup=False)

    def compose(self) -> ComposeResult:
        yield Static("Which quantization should run on this machine?", classes="question", markup=False)
        yield Static("Quality, speed and memory of each, measured here.", classes="head", markup=False)
        yield self.list
        yield self._meaning

    def show(self, state: State) -> None:
        setup, model = state.comparing.setup, state.comparing.setup.model or state.model
        name = "none yet: Enter chooses one" if model is None else short_model(model)
        rows = [Option(_line("Model", Content(name)), id=_MODEL)]
        rows += [Option(_line(knob.label, _values(knob, setup)), id=knob.field) for knob in knobs(setup)]
        if model is not None and not setup.vary:
            files = offers(model, state.models or ())
            is_alone = sum(each.model is not None for each in files) == 1
            usual = "this one, and others made from it" if is_alone else "those on this machine"
            chosen = f"{len(setup.quants)} chosen" if setup.quants else usual
            rows += [Option(each, disabled=True) for each in ("", _line("Files", Content(chosen)))]
            files += [Offer(word) for word in sorted(setup.quants - {each.word for each in files})]
            rows += [Option(_row(each, setup), id=_FILE + each.word) for each in files]
        self.list.refill(rows)
        if self.list.highlighted is None:
            self.list.mark(_MODEL)
        self._explain()

    @property
    def _setup(self) -> Setup:
        return self._desk.state.comparing.setup

    @property
    def _chosen(self) -> str:
        option = self.list.highlighted_option
        return (option.id if option is not None else None) or _MODEL

    @property
    def _knob(self) -> Knob | None:
        return next((knob for knob in knobs(self._setup) if knob.field == self._chosen), None)

    @on(OptionList.OptionHighlighted)
    def _explain(self) -> None:
        knob = self._knob
        if knob is not None:
            words = knob.meanings.get(knob.value(self._setup), knob.question or "")
            words += " · Enter takes any other" if knob.question else ""
        elif self._chosen == _MODEL:
            words = "Enter searches what is here, or takes a name to fetch"
        else:
            words = "Space chooses it, or leaves it out"
        self._meaning.update(words)

    def action_change(self, steps: int) -> None:
        if self._chosen == _MODEL:
            self.pick_model()
        elif (knob := self._knob) is not None:
            self._desk.set_up(knob.turned(self._setup, steps))
        else:
            self._desk.set_up(self._setup.toggled(self._chosen.removeprefix(_FILE)))

    @on(OptionList.OptionSelected)
    def _select(self) -> None:
        knob = self._knob
        if knob is None or knob.question is None:
            self.action_change(1)
        else:
            self._ask(knob, knob.question)

    @work(group="ask", exclusive=True)
    async def _ask(self, knob: Knob, question: str) -> None:
        value = await self.app.push_screen_wait(Ask(question, knob.value(self._setup), knob.wrong))
        if value is not None:
            self._desk.set_up(knob.put(self._setup, value))

    @work(group="ask", exclusive=True)
    async def pick_model(self) -> None:
        """A name that is not here is fetched by the comparison itself."""
        choice = await self.app.push_screen_wait(ModelPicker(self._desk.state))
        if choice is not None:
            self._desk.set_up(self._setup.with_model(choice.name))


def _line(label: str, value: Content) -> Content:
    return dim(f"{label:{_LABEL_CELLS}}") + value


def _values(knob: Knob, setup: Setup) -> Content:
    """All of a few and what was typed, `● quick   ○ standard`; of many the chosen one, `‹ the files ›`."""
    value = knob.value(setup)
    if knob.usual:
        shown = Content(clean_name(value) or knob.usual).stylize("bold" if value else "")
        return Content("‹ ").stylize("$text-accent") + shown + Content(" ›").stylize("$text-accent")
    return Content("   ").join(
        Content(f"● {each}").stylize("bold") if each == value else Content(f"○ {each}")
        for each in dict.fromkeys([*knob.meanings, value])
    )


def _row(offer: Offer, setup: Setup) -> Content:
    is_chosen = offer.word in setup.quants
    mark = Content("■ " if is_chosen else "□ ").stylize("$text-success" if is_chosen else "$foreground 70%")
    where = "is fetched, or made here"
    if offer.model is not None:
        quantization = clean_name(offer.model.quantization or "")
        where = " · ".join(fact for fact in ("here", size(offer.model.size_bytes), quantization) if fact)
    name = Content(f"{clean_name(offer.quant):14}")
    return Content(" " * _LABEL_CELLS) + mark + name + dim(where)
