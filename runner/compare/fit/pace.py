"""How fast each type decodes on this computer: measured on a slice of the model, the first layers of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from modelstore.conversion import Recipe
from runner.bench.plan import Test
from runner.compare.fit.allocation import Errors, patterns
from runner.compare.fit.matrices import Matrix
from runner.compare.fit.workshop import Workshop
from runner.compare.timed import TimedEngine

_FINE = "Q8_0"
_SLICE_WEIGHTS = 200_000_000
_TEST, _REPETITIONS = Test(0, 16, 0), 5


def decode_tps(shop: Workshop, file: Path) -> float:
    """Single tokens from an empty context: median of a few runs, after one to warm up. Raises Unusable and
    WorkerFailed."""
    variant = shop.order.variant(file.name, file)
    with TimedEngine.running(variant, None, shop.cancelled) as engine:
        _, *times = [engine.seconds(_TEST) for _ in range(_REPETITIONS + 1)]
    return _TEST.tokens / statistics.median(times)


def seconds(shop: Workshop, matrices: Sequence[Matrix], imatrix: Path) -> Errors:
    """What each matrix adds to the time of a token in each of its types: by matrix and type."""
    kept = _slice(matrices, shop.header.block_count or 1)
    pruned = tuple(range(kept, shop.header.block_count or 1))
    inside = [each for each in matrices if _layer(each) < kept and _is_read(each, matrices)]
    layers = [each for each in inside if _layer(each) >= 0]

    def timed(kind: str) -> float:
        kinds = {each.name: kind for each in layers if kind in each.types}
        shop.say("timing types", kind)
        types = (*patterns(kinds), (".*", _FINE))
        file = shop.make("slice", Recipe(_FINE, imatrix, types, pruned))
        return 1 / decode_tps(shop, file)

    fine = timed(_FINE)
    whole = sum(each.tensor.weights for each in inside)
    per_weight = {_FINE: fine / whole}
    for kind in {kind for each in layers for kind in each.types} - {_FINE}:
        weights = sum(each.tensor.weights for each in layers if kind in each.types)
        per_weight[kind] = max(0.0, per_weight[_FINE] + (timed(kind) - fine) / weights)
    read = {each.name: each.tensor.weights if _is_read(each, matrices) else 0 for each in matrices}
    # A type that no layer has counts as the finest one.
    return {
        each.name: {kind: read[each.name] * per_weight.get(kind, per_weight[_FINE]) for kind in each.types}
        for each in matrices
    }


def _slice(matrices: Sequence[Matrix], layers: int) -> int:
    """How many layers from the first on have enough weights to tell types apart, and no more."""
    total = 0
    for layer in range(layers):
        total += sum(each.tensor.weights for each in matrices if _layer(each) == layer)
        if total >= _SLICE_WEIGHTS:
            return layer + 1
    return layers


def _layer(matrix: Matrix) -> int:
    """-1 outside of layers."""
    parts = matrix.name.split(".")
    return int(parts[1]) if parts[0] == "blk" else -1


def _is_read(matrix: Matrix, matrices: Sequence[Matrix]) -> bool:
    """Whether a token multiplies by all of it: of an embedding table that is not the output too, one row."""
    has_output = any(each.name == "output.weight" for each in matrices)
    return not (has_output and matrix.name.startswith("token_embd"))
