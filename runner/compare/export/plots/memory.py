"""Where memory goes: weights, KV cache, compute, and what is spare, at several contexts."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from runner.compare.export.columns import contexts, memory_parts
from runner.compare.export.drawing import NARROW, as_svg, color, figure, write
from runner.compare.export.plots.rows import draw_bars, height, prepare
from runner.compare.export.words import context, unit
from runner.readout.numbers import ByteUnit
from runner.wire.compare import Comparison

_PARTS = {"weights": "weights", "kv": "KV cache", "compute": "compute", "spare": "spare"}
"""Names by role."""
_FAR = 5


def waterfall(comparison: Comparison, width: int) -> Markup | None:
    """A panel for each context, one below the other where there is little room."""
    rows, tokens = sum(each.memory is not None for each in comparison.variants), contexts(comparison)
    if not rows or not tokens:
        return None
    is_narrow = width == NARROW
    panel_height = height(rows, 40)
    with figure(width, panel_height * (len(tokens) if is_narrow else 1) + 30) as drawing:
        grid = (len(tokens), 1) if is_narrow else (1, len(tokens))
        panels = drawing.subplots(*grid, sharex=True, squeeze=False).ravel()
        for index, (axes, in_context) in enumerate(zip(panels, tokens, strict=True)):
            _panel(axes, comparison, in_context, is_narrow or index == 0)
        used = list(_PARTS.items())[: None if limit_bytes(comparison) else -1]
        handles = [Patch(color=color(role), label=name) for role, name in used]
        drawing.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.0,
                       handleheight=1.0, columnspacing=1.6)  # fmt: skip
        return as_svg(drawing, "memory", "Predicted memory of each variant at several contexts")


def limit_bytes(comparison: Comparison) -> int:
    """What is there; 0 if it is unknown, or so much that beside it nothing else could be seen."""
    limit = comparison.memory_limit_bytes or 0
    largest = max((each.memory.total_bytes for each in comparison.variants if each.memory), default=0)
    return limit if limit < _FAR * largest else 0


def _panel(axes: Axes, comparison: Comparison, tokens: int | None, has_names: bool) -> None:
    in_unit, limit = unit(comparison), limit_bytes(comparison)
    shown = [(each, each.memory) for each in comparison.variants if each.memory]
    prepare(axes, comparison, [variant for variant, _ in shown], has_names)
    axes.set_title(f"{context(tokens)} context, {in_unit.name}")
    axes.xaxis.set_visible(False)
    parts = [memory_parts(memory, tokens) for _, memory in shown]
    totals = [sum(each) for each in parts]
    spare = [max(0, limit - total) for total in totals]
    starts = [0] * len(shown)
    for role, sizes in zip(_PARTS, (*zip(*parts, strict=True), spare), strict=True):
        draw_bars(axes, dict(enumerate(zip(starts, sizes, strict=True))), role)
        starts = [start + size for start, size in zip(starts, sizes, strict=True)]
    for row, total in enumerate(totals):
        _total(axes, row, total, limit, in_unit)
    if limit:
        axes.axvline(limit, color=color("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlim(0, max(limit, *totals) * 1.4)


def _total(axes: Axes, row: int, total_bytes: int, limit: int, in_unit: ByteUnit) -> None:
    """How much it is, and how much too much; a limit of 0 is unknown."""
    over = 0 < limit < total_bytes
    text = in_unit.of(total_bytes) + (f" ({in_unit.of(total_bytes - limit)} over)" if over else "")
    write(axes, text, (max(total_bytes, limit), row), (5, 0), "bad" if over else "ink", va="center")
