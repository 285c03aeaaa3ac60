"""What the app knows of comparisons: pure values and transitions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

from runner import wire
from runner.readout.course import Course
from runner.wire.compare import CompareRequest, Comparison, ComparisonInfo, VariantResult, settings

USUAL_QUANTS = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""Offered beside what is on this machine: the ladder that most repositories have."""
CHATS = "chats"
"""As `Setup.text`: what the user and the models said to each other."""
COMPATIBLE = "llama-perplexity"
"""As `Setup.scored_as`: its windows and definitions."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is to be compared. `model` None is the model of the chat; no `quants` are those that are there.
    The rest is as it is chosen and shown, empty for the usual: `text` is CHATS or a path, `vary` reads
    `kv_type=f16,q8_0`, and `effort` may be a number of chunks."""

    model: str | None = None
    quants: frozenset[str] = frozenset()
    effort: str = "quick"
    intent: str = "balanced"
    measure: str = "all"
    context: str = "4096"
    text: str = ""
    reference: str = ""
    vary: str = ""
    kinds: str = ""
    scored_as: str = "nybble"
    made: str = "dropped"

    @classmethod
    def of(cls, comparison: Comparison) -> Setup:
        """To do it again; a text of the user's is not kept, so it is not known any more."""
        rows = comparison.variants
        values: dict[str, list[str]] = {}
        if len({row.digest for row in rows}) == 1:
            # One file in several ways.
            for name, value in chain.from_iterable(row.settings.items() for row in rows):
                values.setdefault(name, []).append(value)
        reference = next((_quant(row) for row in rows if row.name == comparison.reference), "")
        return cls(
            model=comparison.model,
            quants=frozenset() if values else frozenset(map(_quant, rows)),
            effort=comparison.effort,
            intent=comparison.intent,
            context=str(comparison.context),
            reference="" if values else reference,
            vary=" ".join(f"{name}={','.join(each)}" for name, each in values.items()),
        )

    def with_model(self, name: str) -> Setup:
        return replace(self, model=name, quants=frozenset(), reference="")

    def toggled(self, quant: str) -> Setup:
        return replace(self, quants=self.quants ^ {quant})

    def request(self, model: str, text: str | None = None) -> CompareRequest:
        """`text` is what `self.text` stands for."""
        chunks = self.effort if self.effort.isdigit() else None
        fields = {
            "name": model,
            "quants": None if self.vary else sorted(self.quants) or None,
            "reference": None if self.vary else self.reference or None,
            "effort": "quick" if chunks else self.effort,
            "chunks": chunks,
            "intent": self.intent,
            "measure": self.measure,
            "context": int(self.context),
            "text": text,
            "vary": settings(self.vary.split()),
            "domains": [kind.strip() for kind in self.kinds.split(",") if kind.strip()],
            "compatible": self.scored_as == COMPATIBLE,
            "keep_made": self.made == "kept",
        }
        return CompareRequest.model_validate(fields)


def _quant(row: VariantResult) -> str:
    return row.tag or row.name


@dataclass(frozen=True, slots=True)
class Comparing:
    """`run` is this session's comparison, of `ran`; it goes on whatever is on the screen. `opened` is an
    earlier one that is shown instead. A run that is over, without `error` and without its comparison, was
    stopped."""

    setup: Setup = Setup()
    run: Course | None = None
    ran: Setup = Setup()
    is_running: bool = False
    error: wire.ErrorBody | None = None
    opened: Comparison | None = None
    earlier: tuple[ComparisonInfo, ...] = ()

    def begun(self, setup: Setup) -> Comparing:
        return replace(self, run=Course(), ran=setup, is_running=True, error=None, opened=None)

    def with_opened(self, comparison: Comparison) -> Comparing:
        """Also the setup is then as it was for it."""
        return replace(self, opened=comparison, setup=Setup.of(comparison))

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

    @property
    def next(self) -> Setup:
        """What is compared next: what is on the screen once more, or what is set up."""
        return self.ran if self.is_run_shown else self.setup


@dataclass(frozen=True, slots=True)
class Offer:
    """A quantization to choose. `model` is the local one that has it."""

    quant: str
    model: wire.ModelInfo | None = None

    @property
    def word(self) -> str:
        """What it is asked for by: of a local one the whole name, which means no other file."""
        return self.quant if self.model is None else self.model.name


def offers(model: str, models: tuple[wire.ModelInfo, ...]) -> list[Offer]:
    """Local tags of the same model, then what can be fetched or made."""
    family, _, _ = model.rpartition(":")
    local = [each for each in models if family and each.name.startswith(f"{family}:")]
    here = [Offer(each.name.rpartition(":")[2], each) for each in local]
    known = {each.quantization for each in local} | {offer.quant for offer in here}
    return [*here, *(Offer(quant) for quant in USUAL_QUANTS if quant not in known)]
