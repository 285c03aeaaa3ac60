"""Where memory goes: weights, KV cache, compute, and what is spare, at several contexts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from runner.compare.export.drawing import as_svg, color, figure
from runner.compare.export.plots.rows import height, prepare
from runner.compare.export.columns import contexts, memory_parts
from runner.compare.export.words import MINUS, byte_unit, context, number
from runner.wire.compare import Comparison, VariantResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = ("weights", "kv", "compute")


def waterfall(comparison: Comparison, *, is_narrow: bool = False) -> Markup | None:
    shown = [each for each in comparison.variants if each.memory]
    panels = contexts(comparison)
    if not shown or not panels:
        return None
    one = height(len(shown), 40)
    with figure(*((400, one * len(panels) + 30) if is_narrow else (1080, one + 30))) as drawing:
        grid = (len(panels), 1) if is_narrow else (1, len(panels))
        all_axes = drawing.subplots(*grid, sharex=True, squeeze=False).ravel()
        for index, (axes, tokens) in enumerate(zip(all_axes, panels, strict=True)):
            _panel(axes, comparison, shown, tokens)
            if index and not is_narrow:
                axes.tick_params(labelleft=False)
        names = {"weights": "weights", "kv": "KV cache", "compute": "compute", "spare": "spare"}
        handles = all_axes[0].get_legend_handles_labels()[0]
        drawing.legend(handles, names.values(), loc="outside lower center", ncols=4, handlelength=1.0,
                       handleheight=1.0, columnspacing=1.6)  # fmt: skip
        name = "memory-narrow" if is_narrow else "memory"
        return as_svg(drawing, name, "Predicted memory of each variant at several contexts")


def _panel(axes: Axes, comparison: Comparison, shown: Sequence[VariantResult], tokens: int) -> None:
    unit, unit_name = byte_unit(comparison)
    limit = comparison.memory_limit_bytes
    prepare(axes, comparison, shown, grid=None)
    axes.set_title(f"{context(tokens)} context, {unit_name}", color=color("muted"))
    axes.xaxis.set_visible(False)
    split = [memory_parts(each.memory, tokens) for each in shown if each.memory]
    rows, starts = range(len(shown)), [0.0] * len(shown)
    for part, role in enumerate(PARTS):
        values = [each[part] / unit for each in split]
        axes.barh(rows, values, left=starts, height=0.62, color=color(role), label=role)
        starts = [start + value for start, value in zip(starts, values, strict=True)]
    spare = [max(0.0, (limit or 0) / unit - start) for start in starts]
    axes.barh(rows, spare, left=starts, height=0.62, color=color("spare"), label="spare")
    for row, total in enumerate(starts):
        _total(axes, row, total, limit / unit if limit else None)
    if limit:
        axes.axvline(limit / unit, color=color("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlim(0, max(*starts, (limit or 0) / unit) * 1.3)


def _total(axes: Axes, row: int, total: float, limit: float | None) -> None:
    """How much it is, and how much too much."""
    over = limit is not None and total > limit
    text = (
        f"{number(total)} ({MINUS}{number(total - limit)})" if over and limit is not None else number(total)
    )
    axes.annotate(text, (max(total, limit or 0.0), row), xytext=(5, 0), textcoords="offset points", va="center",
                  fontsize=11, color=color("bad" if over else "ink"))  # fmt: skip
