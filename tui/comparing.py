"""What the app knows of comparisons: pure values and transitions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar, get_args

from runner import wire
from runner.readout.course import Course
from runner.wire.compare import CompareRequest, Comparison, ComparisonInfo, Effort, Intent

USUAL_QUANTS = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""Offered beside what is on this machine: the ladder that most repositories have."""
EFFORTS: tuple[Effort, ...] = get_args(Effort)
INTENTS: tuple[Intent, ...] = get_args(Intent)

_Option = TypeVar("_Option")


@dataclass(frozen=True, slots=True)
class Setup:
    """What is to be compared. `model` None is the model of the chat; no `quants` are those that are there."""

    model: str | None = None
    quants: frozenset[str] = frozenset()
    effort: Effort = "quick"
    intent: Intent = "balanced"

    def with_model(self, name: str) -> Setup:
        return replace(self, model=name, quants=frozenset())

    def toggled(self, quant: str) -> Setup:
        return replace(self, quants=self.quants ^ {quant})

    def with_next_effort(self) -> Setup:
        return replace(self, effort=_after(self.effort, EFFORTS))

    def with_next_intent(self) -> Setup:
        return replace(self, intent=_after(self.intent, INTENTS))

    def request(self, model: str) -> CompareRequest:
        quants = sorted(self.quants) or None
        return CompareRequest(name=model, quants=quants, effort=self.effort, intent=self.intent)


@dataclass(frozen=True, slots=True)
class Comparing:
    """`run` is this session's comparison, of `model`; it goes on whatever is on the screen. `opened` is an
    earlier one that is shown instead. A run that is over, without `error` and without its comparison, was
    stopped."""

    setup: Setup = Setup()
    run: Course | None = None
    model: str | None = None
    is_running: bool = False
    error: wire.ErrorBody | None = None
    opened: Comparison | None = None
    earlier: tuple[ComparisonInfo, ...] = ()

    def begun(self, model: str) -> Comparing:
        return replace(self, run=Course(), model=model, is_running=True, error=None, opened=None)

    def closed(self) -> Comparing:
        """Back from an earlier comparison, or from a run that is over."""
        if self.opened is not None or self.is_running:
            return replace(self, opened=None)
        return replace(self, run=None, error=None)

    @property
    def shown(self) -> Course | None:
        """None: the setup is shown."""
        return Course.of(self.opened) if self.opened is not None else self.run

    @property
    def is_run_shown(self) -> bool:
        return self.opened is None and self.run is not None


def _after(option: _Option, options: tuple[_Option, ...]) -> _Option:
    return options[(options.index(option) + 1) % len(options)]


@dataclass(frozen=True, slots=True)
class Offer:
    """A quantization to choose. `model` is the local one that has it."""

    quant: str
    model: wire.ModelInfo | None = None


def offers(model: str, models: tuple[wire.ModelInfo, ...]) -> list[Offer]:
    """Local tags of the same model, then what can be fetched or made."""
    family, _, _ = model.rpartition(":")
    local = [each for each in models if family and each.name.startswith(f"{family}:")]
    here = [Offer(each.name.rpartition(":")[2], each) for each in local]
    known = {each.quantization for each in local} | {offer.quant for offer in here}
    return [*here, *(Offer(quant) for quant in USUAL_QUANTS if quant not in known)]
