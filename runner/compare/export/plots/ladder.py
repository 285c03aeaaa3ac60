"""How far the tail of each variant reaches: percentiles of KL divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from runner.compare.export.drawing import as_svg, color, figure, plain_log
from runner.compare.export.plots.rows import WIDTH, height, is_known, prepare
from runner.wire.compare import Comparison, Estimate, Quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RUNGS = (
    ("p50", "kld_median", "c2"),
    ("p90", "kld_p90", "c5"),
    ("p99", "kld_p99", "c4"),
    ("p99.9", "kld_p999", "c1"),
)


def ladder(comparison: Comparison) -> Markup | None:
    """Median, p90, p99 and p99.9 with their 95 % intervals, and the mean as a line across."""
    shown = [
        each for each in comparison.variants if each.quality and (each.quality.kld_median.value or 0) > 0
    ]
    if not shown:
        return None
    with figure(WIDTH, height(len(shown), 76)) as drawing:
        axes = drawing.add_subplot()
        prepare(axes, comparison, shown)
        for row, variant in enumerate(shown):
            if variant.quality:
                _rungs(axes, row, variant.quality)
        plain_log("x", axes)
        axes.set_title("KL divergence per token, nats", color=color("muted"), pad=24)
        return as_svg(drawing, "ladder", "Percentiles of KL divergence for each variant")


def _rungs(axes: Axes, row: int, quality: Quality) -> None:
    known = [
        (name, figure, role)
        for name, field, role in _RUNGS
        if is_known(figure := getattr(quality, field)) and figure.value > 0
    ]
    values = [figure.value for _, figure, _ in known]
    axes.plot(
        [values[0], values[-1]],
        [row, row],
        color=color("line"),
        linewidth=5,
        solid_capstyle="round",
        zorder=1,
    )
    for name, figure, role in known:
        _rung(axes, row, figure, role)
        if row == 0:
            axes.annotate(name, (figure.value, row), xytext=(0, 14), textcoords="offset points", ha="center",
                          fontsize=11, color=color("muted"), annotation_clip=False)  # fmt: skip
    if (mean := quality.kld_mean.value) and mean > 0:
        axes.plot([mean, mean], [row - 0.28, row + 0.28], color=color("ink"), linewidth=2, zorder=3)


def _rung(axes: Axes, row: int, figure: Estimate, role: str) -> None:
    value = figure.value or 0.0
    if figure.low is not None and figure.high is not None:
        axes.plot(
            [max(figure.low, value / 10), figure.high], [row, row], color=color(role), linewidth=2, zorder=2
        )
    axes.plot(value, row, "o", markersize=8, color=color(role), zorder=4)
