"""How far the tail of each variant reaches: percentiles of KL divergence."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.axes import Axes

from runner.compare.export.drawing import as_svg, color, figure, plain_log
from runner.compare.export.plots.rows import height, prepare
from runner.wire.compare import Comparison, Estimate, Quality

_RUNGS = (
    ("median", "kld_median", "c2", "o"), ("p90", "kld_p90", "c5", "s"), ("p99", "kld_p99", "c4", "D"),
    ("p99.9", "kld_p999", "c1", "^"), ("mean", "kld_mean", "ink", "|"),
)  # fmt: skip
"""Name, field, role of the colour, and marker."""


def ladder(comparison: Comparison, *, is_narrow: bool = False) -> Markup | None:
    """Median, p90, p99, p99.9 and the mean, each with its 95 % interval."""
    shown = [(each, each.quality) for each in comparison.variants if each.quality and _positive(each.quality)]
    if not shown:
        return None
    with figure(400 if is_narrow else 1080, height(len(shown), 96)) as drawing:
        axes = drawing.add_subplot()
        prepare(axes, comparison, [variant for variant, _ in shown])
        for row, (_, quality) in enumerate(shown):
            _rungs(axes, row, quality)
        plain_log("x", axes)
        axes.set_title("KL divergence per token, nats", color=color("muted"))
        used = {marker for _, quality in shown for *_, marker in _positive(quality)}
        handles = [axes.plot([], [], marker, color=color(role), markersize=8, label=name)[0]
                   for name, _, role, marker in _RUNGS if marker in used]  # fmt: skip
        drawing.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2,
                       handletextpad=0.2)  # fmt: skip
        name = "ladder-narrow" if is_narrow else "ladder"
        return as_svg(drawing, name, "Percentiles of KL divergence for each variant")


def _positive(quality: Quality) -> list[tuple[Estimate, float, str, str]]:
    """Figures that a logarithmic axis can show."""
    figures = ((getattr(quality, field), role, marker) for _, field, role, marker in _RUNGS)
    return [
        (each, each.value, role, marker) for each, role, marker in figures if each.value and each.value > 0
    ]


def _rungs(axes: Axes, row: int, quality: Quality) -> None:
    figures = _positive(quality)
    values = [value for _, value, _, _ in figures]
    axes.plot([min(values), max(values)], [row, row], color=color("line"), linewidth=5, zorder=1)
    for each, value, role, marker in figures:
        if each.low is not None and each.high is not None:
            ends = [max(each.low, value / 10), each.high]
            axes.plot(ends, [row, row], color=color(role), linewidth=2, zorder=2)
        size, width = (19, 2.5) if marker == "|" else (8, 0)
        axes.plot(value, row, marker, markersize=size, markeredgewidth=width, color=color(role), zorder=4)
