"""How far the tail of each variant reaches: percentiles of KL divergence."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from runner.compare.export.drawing import as_svg, color, figure, plain_log
from runner.compare.export.plots.rows import height, prepare
from runner.wire.compare import Comparison, Estimate, Quality

_RUNGS = {
    "median": ("kld_median", "c2", "o"),
    "p90": ("kld_p90", "c5", "s"),
    "p99": ("kld_p99", "c4", "D"),
    "p99.9": ("kld_p999", "c1", "^"),
    "mean": ("kld_mean", "ink", "|"),
}
"""Field, role of the colour, and marker."""


def ladder(comparison: Comparison, width: int) -> Markup | None:
    """Median, p90, p99, p99.9 and the mean, each with its 95 % interval."""
    found = [(each, _positive(each.quality)) for each in comparison.variants if each.quality]
    shown = [(variant, rungs) for variant, rungs in found if rungs]
    if not shown:
        return None
    with figure(width, height(len(shown), 96)) as drawing:
        axes = drawing.add_subplot()
        prepare(axes, comparison, [variant for variant, _ in shown])
        axes.grid(axis="x", linewidth=1)
        _reach(axes, [rungs for _, rungs in shown])
        for name in _RUNGS:
            _rung(axes, name, {row: rungs[name] for row, (_, rungs) in enumerate(shown) if name in rungs})
        plain_log("x", axes)
        axes.set_title("KL divergence, nats (logarithmic)")
        used = [name for name in _RUNGS if any(name in rungs for _, rungs in shown)]
        handles = [axes.plot([], [], _RUNGS[name][2], color=color(_RUNGS[name][1]), markersize=8,
                             markeredgewidth=2 if name == "mean" else 0, label=name)[0]
                   for name in used]  # fmt: skip
        drawing.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=0.8,
                       handletextpad=0.2)  # fmt: skip
        return as_svg(drawing, "ladder", "Percentiles of KL divergence for each variant")


def missing(comparison: Comparison) -> str:
    """Why there are rungs that no variant has; "" if there are none such."""
    all_qualities = [each.quality for each in comparison.variants if each.quality]
    sentences = []
    for name, (field, _, _) in _RUNGS.items():
        estimates: list[Estimate] = [getattr(quality, field) for quality in all_qualities]
        reasons = dict.fromkeys(each.reason for each in estimates if each.reason)
        if reasons and all(each.value is None for each in estimates):
            sentences.append(f" No {name}: {'; '.join(filter(None, reasons))}.")
    return "".join(sentences)


def _positive(quality: Quality) -> dict[str, Estimate]:
    """Rungs that a logarithmic axis can show, by name."""
    rungs = {name: getattr(quality, field) for name, (field, _, _) in _RUNGS.items()}
    return {name: each for name, each in rungs.items() if each.value and each.value > 0}


def _reach(axes: Axes, rungs: Sequence[dict[str, Estimate]]) -> None:
    """A line for each row, from its lowest rung to its highest."""
    values = [[each.value or 0.0 for each in row.values()] for row in rungs]
    lows, highs = [min(row) for row in values], [max(row) for row in values]
    axes.hlines(range(len(rungs)), lows, highs, color("line"), linewidth=5, zorder=1, capstyle="projecting")


def _rung(axes: Axes, name: str, rungs: dict[int, Estimate]) -> None:
    """One percentile with its intervals, by row."""
    _, role, marker = _RUNGS[name]
    ends = {row: (each.low, each.high, each.value or 0.0) for row, each in rungs.items()}
    known = {row: (max(low, value / 10), high) for row, (low, high, value) in ends.items()
             if low is not None and high is not None}  # fmt: skip
    lows, highs = [low for low, _ in known.values()], [high for _, high in known.values()]
    axes.hlines(list(known), lows, highs, color(role), linewidth=2, zorder=2, capstyle="projecting")
    size, edge = (19, 2.5) if marker == "|" else (8, 0)
    axes.plot([value for _, _, value in ends.values()], list(ends), marker, markersize=size,
              markeredgewidth=edge, color=color(role), zorder=4)  # fmt: skip
