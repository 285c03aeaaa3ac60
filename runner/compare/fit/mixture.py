"""A mixture of types for a size: imatrix, costs, probes, knapsack, and then the truth on other texts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from modelstore.blobs import megabytes
from modelstore.conversion import Recipe
from modelstore.errors import Unusable, UserError
from runner.compare.fit import allocation, pace
from runner.compare.fit.matrices import TYPES, Matrix, matrices
from runner.compare.fit.order import Plan
from runner.compare.fit.passages import Passages
from runner.compare.fit.verdict import Scores, Verdict, verdict
from runner.compare.fit.workshop import Workshop
from runner.compare.quality import kld_mean
from runner.wire.compare import Estimate

_FINE = "Q8_0"
_PROBE_BITS = 3.4
# What llama-quantize makes, by falling size.
_STOCK = (
    "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "IQ4_NL", "IQ4_XS", "Q3_K_L", "Q3_K_M", "IQ3_M",
    "Q3_K_S", "IQ3_XS", "IQ3_XXS", "Q2_K", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tried:
    """A file that could be kept, with what it scored by kind of text."""

    name: str
    file: Path
    recipe: Recipe
    scores: Scores

    @property
    def figures(self) -> dict[str, Estimate]:
        """Mean KL divergence by kind of text; the first is the kind that decides."""
        return {kind: kld_mean(blocks) for kind, blocks in self.scores.items()}

    @property
    def kld(self) -> float:
        """Mean KL divergence on the kind of text that decides."""
        return next(iter(self.figures.values())).value or 0.0


@dataclass(frozen=True, slots=True)
class Mixed:
    """The result: the mixture, the better of two stock files of at most its size (with the importance matrix
    and without), which of them is kept and why, and what the choice was made from."""

    kept: Tried
    tried: list[Tried]
    verdict: Verdict
    sensitivities: dict[str, float]
    expected_kld: float
    kinds: dict[str, str]
    decode_tps: float | None


class Mixing:
    """One run. `budget_bytes` is of the whole file."""

    def __init__(self, shop: Workshop, plan: Plan, budget_bytes: int) -> None:
        self._shop, self._plan, self._budget_bytes = shop, plan, budget_bytes

    def run(self) -> Mixed:
        """Raises UserError for a budget that no mixture has, Unusable, StorageFull, WorkerFailed, and
        Cancelled."""
        self._refuse_out_of_range()
        passages = self._shop.passages(self._plan.chunks)
        self._shop.record([*passages.calibration[: self._plan.probe_blocks], *passages.deciding])
        imatrix = self._shop.importance(passages.calibration, passages.datasets)
        stock = self._stock(imatrix)
        would_be = self._shop.types(Recipe("Q4_K_M", imatrix))
        chosen = matrices(self._shop.header, would_be, self._plan.types, self._plan.parts)
        errors = self._shop.errors(chosen, imatrix, self._plan.rows)
        factors = self._sensitivities(chosen, imatrix, errors, passages)
        problem = self._problem(chosen, imatrix, errors, factors)
        kinds = problem.best(1 / self._floor_tps if self._floor_tps else None)
        mixture = Recipe(allocation.label_of(chosen, kinds), imatrix, allocation.patterns(kinds))
        tried = [
            self._try("the mixture", mixture, passages),
            self._try(f"{stock} with the importance matrix", Recipe(stock, imatrix), passages),
            *([self._try(stock, Recipe(stock), passages)] if self._works_without(stock) else []),
        ]
        best_stock = min(tried[1:], key=lambda each: each.kld)
        decision = verdict(tried[0].scores, best_stock.scores)
        better = tried[0] if decision.keeps_mixture else best_stock
        kept, decode_tps = self._fast_enough(better, tried[0])
        return Mixed(kept, tried, decision, factors, problem.cost(kinds), kinds, decode_tps)

    def _fast_enough(self, better: Tried, mixture: Tried) -> tuple[Tried, float | None]:
        """`better` with its speed, or the mixture if only that is as fast as was asked for."""
        if self._floor_tps is None:
            return better, None
        better_tps = pace.decode_tps(self._shop, better.file)
        if better_tps >= self._floor_tps or better is mixture:
            return better, better_tps
        mixture_tps = pace.decode_tps(self._shop, mixture.file)
        return (mixture, mixture_tps) if mixture_tps >= self._floor_tps else (better, better_tps)

    @property
    def _floor_tps(self) -> float | None:
        return self._shop.order.min_tps

    def _refuse_out_of_range(self) -> None:
        header, budget_bytes = self._shop.header, self._budget_bytes
        least_bits = min(TYPES[kind].bits_per_weight for kind in self._plan.types)
        least_bytes = header.parameter_count * least_bits / 8
        source_bytes = self._shop.order.source.stat().st_size
        if not least_bytes < budget_bytes < source_bytes:
            raise UserError(
                f"{megabytes(budget_bytes)} is no size to choose a mixture for",
                hint=f"It takes at least {megabytes(int(least_bytes))}, and less than the source's "
                f"{megabytes(source_bytes)}.",
            )

    # What there is to choose from

    def _stock(self, imatrix: Path) -> str:
        """The largest that llama.cpp makes in this size. Raises UserError if there is none."""

        def fits(label: str) -> bool:
            kinds = self._shop.types(Recipe(label, imatrix))
            return allocation.file_bytes(self._shop.header, kinds) <= self._budget_bytes

        index = bisect_left(_STOCK, True, key=fits)
        if index == len(_STOCK):
            raise UserError(
                f"nothing that llama.cpp makes of this model is smaller than {megabytes(self._budget_bytes)}",
                hint="Give it more room, or take a smaller model.",
            )
        return _STOCK[index]

    def _works_without(self, stock: str) -> bool:
        """Whether llama.cpp makes this label without an importance matrix."""
        try:
            self._shop.types(Recipe(stock))
        except Unusable:
            return False
        return True

    # What it costs

    def _sensitivities(
        self, chosen: Sequence[Matrix], imatrix: Path, errors: allocation.Errors, passages: Passages
    ) -> dict[str, float]:
        """By probing: one group coarse, all others fine."""
        fine = self._shop.make("fine", Recipe(_FINE, imatrix))
        blocks = passages.calibration[: self._plan.probe_blocks]
        floor = kld_mean(self._shop.scores("fine", fine, blocks)).value or 0.0
        low = allocation.low_types(errors, _PROBE_BITS)
        probes = []
        groups = sorted({each.group for each in chosen})
        for index, group in enumerate(groups, 1):
            self._shop.say("probing", group, index, len(groups))
            kinds = {each.name: low[each.name] for each in chosen if each.group == group}
            types = (*allocation.patterns(kinds), (".*", _FINE))
            file = self._shop.make("probe", Recipe(_FINE, imatrix, types), source=fine)
            value = kld_mean(self._shop.scores(group, file, blocks)).value or 0.0
            probes.append(allocation.Probe(group, kinds, value))
        fine.unlink()
        return allocation.sensitivities(probes, floor, errors)

    def _problem(
        self, chosen: Sequence[Matrix], imatrix: Path, errors: allocation.Errors, factors: Mapping[str, float]
    ) -> allocation.Problem:
        costs = {
            each.name: {kind: factors[each.group] * error for kind, error in errors[each.name].items()}
            for each in chosen
        }
        room_bytes = self._budget_bytes - allocation.fixed_bytes(self._shop.header, chosen)
        seconds = pace.seconds(self._shop, chosen, imatrix) if self._floor_tps else {}
        return allocation.Problem(chosen, costs, room_bytes, seconds)

    # The truth

    def _try(self, name: str, recipe: Recipe, passages: Passages) -> Tried:
        self._shop.say("quantizing", name)
        file = self._shop.make(name.replace(" ", "-"), recipe)
        self._shop.say("scoring", name)
        found = iter(self._shop.scores(name, file, passages.deciding))
        scores = {kind: list(islice(found, len(blocks))) for kind, blocks in passages.held_out.items()}
        return Tried(name, file, recipe, scores)
