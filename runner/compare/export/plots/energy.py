"""What an answer costs in energy."""

from __future__ import annotations

from markupsafe import Markup

from runner.compare.export.columns import is_known
from runner.compare.export.drawing import as_svg, figure
from runner.compare.export.plots.rows import bars, height, prepare
from runner.compare.export.words import shortened
from runner.wire.compare import Comparison

_CHARACTERS = 24
"""Of what is covered: the caption says all of it."""


def energy_bars(comparison: Comparison, width: int) -> Markup | None:
    """Joules per answer; None where nothing could be read."""
    shown = [(each, each.energy) for each in comparison.variants if each.energy]
    shown = [(variant, energy) for variant, energy in shown if is_known(energy.answer_joules)]
    if not shown:
        return None
    covers = sorted({energy.covers for _, energy in shown if energy.covers})
    with figure(width, height(len(shown), 30)) as drawing:
        axes = drawing.add_subplot()
        prepare(axes, comparison, [variant for variant, _ in shown])
        bars(axes, [energy.answer_joules for _, energy in shown], "c2")
        axes.set_title(f"J per answer: {shortened(', '.join(covers), _CHARACTERS)}")
        return as_svg(drawing, "energy", "Joules per answer for each variant")
