"""Where memory goes: weights, KV cache, compute, and what is spare, at several contexts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from runner.compare.export.columns import contexts, memory_parts
from runner.compare.export.drawing import as_svg, color, figure
from runner.compare.export.plots.rows import height, prepare
from runner.compare.export.words import context, unit
from runner.readout.numbers import ByteUnit
from runner.wire.compare import Comparison, VariantResult

_PARTS = {"weights": "weights", "kv": "KV cache", "compute": "compute", "spare": "spare"}
"""Names by role."""

_FAR = 5


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
        handles = [Patch(color=color(role), label=name) for role, name in _PARTS.items()]
        drawing.legend(handles=handles, loc="outside lower center", ncols=len(_PARTS), handlelength=1.0,
                       handleheight=1.0, columnspacing=1.6)  # fmt: skip
        name = "memory-narrow" if is_narrow else "memory"
        return as_svg(drawing, name, "Predicted memory of each variant at several contexts")


def _panel(axes: Axes, comparison: Comparison, shown: Sequence[VariantResult], tokens: int) -> None:
    in_unit, limit_bytes = unit(comparison), _limit_bytes(comparison)
    prepare(axes, comparison, shown, grid=None)
    axes.set_title(f"{context(tokens)} context, {in_unit.name}", color=color("muted"))
    axes.xaxis.set_visible(False)
    split = [memory_parts(each.memory, tokens) for each in shown if each.memory]
    split_and_spare = [(*each, max(0, limit_bytes - sum(each))) for each in split]
    for part, role in enumerate(_PARTS):
        widths = [each[part] for each in split_and_spare]
        starts = [sum(each[:part]) for each in split_and_spare]
        axes.barh(range(len(shown)), widths, left=starts, height=0.62, color=color(role))
    for row, each in enumerate(split):
        _total(axes, row, sum(each), limit_bytes, in_unit)
    if limit_bytes:
        axes.axvline(limit_bytes, color=color("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlim(0, max(*map(sum, split), limit_bytes) * 1.4)


def _limit_bytes(comparison: Comparison) -> int:
    """What is there; 0 if it is unknown, or so much that beside it nothing else could be seen."""
    limit_bytes = comparison.memory_limit_bytes or 0
    largest = max(each.memory.total_bytes for each in comparison.variants if each.memory)
    return limit_bytes if limit_bytes < _FAR * largest else 0


def _total(axes: Axes, row: int, total_bytes: int, limit_bytes: int, in_unit: ByteUnit) -> None:
    """How much it is, and how much too much; a limit of 0 is unknown."""
    over = 0 < limit_bytes < total_bytes
    text = in_unit.of(total_bytes) + (f" ({in_unit.of(total_bytes - limit_bytes)} over)" if over else "")
    axes.annotate(text, (max(total_bytes, limit_bytes), row), xytext=(5, 0), textcoords="offset points",
                  va="center", fontsize=11, color=color("bad" if over else "ink"))  # fmt: skip
