"""Choosing what is compared: the quantizations, how thoroughly, and what matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from runner.text import clean_name
from tui.comparing import EFFORTS, INTENTS, Offer, Setup, offers
from tui.keys import bindings, first_key
from tui.state import State
from tui.wording import short_model, size

_EFFORT_MEANS = {
    "quick": "16 chunks: which of Q8, Q6, Q5, Q4 and Q3 is better",
    "standard": "64 chunks: also close neighbours, such as Q4_K_M and Q4_K_S",
    "deep": "256 chunks: also rare mistakes",
}
_INTENT_MEANS = {
    "balanced": "more memory only where it buys much quality",
    "fast": "the shortest time to an answer",
    "best": "the least divergence that fits",
    "battery": "the least energy for an answer",
}


class QuantList(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = bindings("Quantizations")


class CompareSetup(Vertical):
    """Shows the setup. A chosen row arrives at the screen as OptionList.OptionSelected, its id the
    quantization."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._head = Static(classes="head", markup=False)
        self.quants = QuantList(markup=False, compact=True)
        self._offers: list[Offer] = []

    def compose(self) -> ComposeResult:
        yield self._head
        yield self.quants

    def show(self, state: State, model: str | None) -> None:
        setup = state.comparing.setup
        self._head.update(Content("\n").join(_head(setup, model)))
        self._offers = offers(model, state.models or ()) if model is not None else []
        highlighted = self.quants.highlighted
        self.quants.set_options(Option(_row(offer, setup), id=offer.quant) for offer in self._offers)
        self.quants.highlighted = min(highlighted or 0, len(self._offers) - 1) if self._offers else None


def _head(setup: Setup, model: str | None) -> list[Content]:
    chosen = "those on this machine" if not setup.quants else f"{len(setup.quants)} chosen"
    return [
        Content("Which quantization should run on this machine?").stylize("bold $text-primary"),
        Content("Quality, speed and memory of each, measured here; nothing leaves this computer."),
        Content(),
        _choice("Model", "compare.models", Content(short_model(model) if model else "none yet: choose one")),
        _choice("Effort", "compare.effort", _of(setup.effort, EFFORTS)),
        Content(f"{'':16}{_EFFORT_MEANS[setup.effort]}").stylize("$foreground-muted"),
        _choice("Intent", "compare.intent", _of(setup.intent, INTENTS)),
        Content(f"{'':16}{_INTENT_MEANS[setup.intent]}").stylize("$foreground-muted"),
        _choice("Files", "quants.toggle", Content(chosen)),
    ]


def _choice(name: str, key: str, value: Content) -> Content:
    return Content(f"{name:8}") + Content(f"{first_key(key):8}").stylize("bold $accent") + value


def _of(chosen: str, options: Sequence[str]) -> Content:
    """`● quick  ○ standard  ○ deep`."""
    parts = [
        Content(f"● {option}").stylize("bold") if option == chosen else Content(f"○ {option}")
        for option in options
    ]
    return Content("   ").join(parts)


def _row(offer: Offer, setup: Setup) -> Content:
    is_chosen = offer.quant in setup.quants
    mark = Content("■ " if is_chosen else "□ ").stylize("$text-success" if is_chosen else "$foreground-muted")
    where = "is fetched, or made here"
    if offer.model is not None:
        quantization = clean_name(offer.model.quantization or "")
        where = " · ".join(fact for fact in ("here", size(offer.model.size_bytes), quantization) if fact)
    return mark + Content(f"{clean_name(offer.quant):14}") + Content(where).stylize("$foreground-muted")
