"""What an answer costs in energy."""

from __future__ import annotations

from markupsafe import Markup

from runner.compare.export.columns import is_known
from runner.compare.export.drawing import as_svg, color, figure
from runner.compare.export.plots.rows import WIDTH, bars, height, prepare
from runner.wire.compare import Comparison


def energy_bars(comparison: Comparison) -> Markup | None:
    """Joules per answer; None where nothing could be read."""
    shown = [each for each in comparison.variants if each.energy and is_known(each.energy.answer_joules)]
    if not shown:
        return None
    covers = sorted({each.energy.covers for each in shown if each.energy and each.energy.covers})
    with figure(WIDTH, height(len(shown), 30)) as drawing:
        axes = drawing.add_subplot()
        prepare(axes, comparison, shown, grid=None)
        bars(axes, [each.energy.answer_joules if each.energy else None for each in shown], "c2")
        axes.set_title(f"joules per answer: {', '.join(covers)}", color=color("muted"))
        return as_svg(drawing, "energy", "Joules per answer for each variant")
