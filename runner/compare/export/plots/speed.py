"""Prefill and decode, what is left of decode behind long texts, and what an answer costs in energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from runner.compare.export.columns import is_known
from runner.compare.export.drawing import NARROW, as_svg, bare, color, figure, series, settle
from runner.compare.export.plots.rows import bars, height, prepare
from runner.compare.export.words import context, shortened
from runner.readout.course import Course
from runner.readout.numbers import half_width
from runner.readout.table import speed_of
from runner.wire.compare import Comparison, VariantResult

_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_LINE_HEIGHT = 14.5
_COVERS_CHARACTERS = 24
"""Of what a sensor covers: the caption says all of it."""


def speed_bars(comparison: Comparison, width: int) -> Markup | None:
    """Beside each other, or one below the other where there is little room."""
    shown = [each for each in comparison.variants if speed_of(each, "decode_tps")]
    if not shown:
        return None
    rows, columns = (2, 1) if width == NARROW else (1, 2)
    with figure(width, height(len(shown), 30) * rows) as drawing:
        panels = zip(drawing.subplots(rows, columns), (("prefill", "c5"), ("decode", "c0")), strict=True)
        for index, (axes, (what, role)) in enumerate(panels):
            prepare(axes, comparison, shown, has_names=index == 0 or columns == 1)
            bars(axes, [speed_of(each, f"{what}_tps") for each in shown], role)
            axes.set_title(f"{what}, tok/s")
        return as_svg(drawing, "speed", "Prefill and decode in tokens a second for each variant")


def depth_curve(comparison: Comparison, width: int) -> Markup | None:
    """None unless decode was measured behind more than one depth."""
    letters = Course.of(comparison).letters
    shown = {index: _decode(each) for index, each in enumerate(comparison.variants)}
    lines = {index: points for index, points in shown.items() if len(points) > 1}
    if not lines:
        return None
    with figure(width, max(260, height(len(lines), 64))) as drawing:
        axes = drawing.add_subplot()
        bare(axes, grid="y")
        for index, points in lines.items():
            _line(axes, index, points)
        depths = sorted({depth for points in lines.values() for depth, _, _ in points})
        axes.set_xticks(depths, [context(depth) for depth in depths])
        axes.set_xlim(-0.02 * depths[-1], depths[-1] * 1.08)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        axes.tick_params(axis="y", labelcolor=color("muted"))
        axes.set_xlabel("tokens already there")
        axes.set_title("decode, tok/s")
        settle(drawing)
        ends = {index: points[-1][:2] for index, points in lines.items()}
        _letters(axes, ends, [letters[each.name] for each in comparison.variants])
        return as_svg(drawing, "depth", "Decode in tokens a second behind growing depths")


def energy_bars(comparison: Comparison, width: int) -> Markup | None:
    """Joules per answer; None where nothing could be read."""
    measured = [(each, each.energy) for each in comparison.variants if each.energy]
    shown = [(variant, energy) for variant, energy in measured if is_known(energy.answer_joules)]
    if not shown:
        return None
    covers = sorted({energy.covers for _, energy in shown if energy.covers})
    with figure(width, height(len(shown), 30)) as drawing:
        axes = drawing.add_subplot()
        prepare(axes, comparison, [variant for variant, _ in shown])
        bars(axes, [energy.answer_joules for _, energy in shown], "c2")
        axes.set_title(f"J per answer: {shortened(', '.join(covers), _COVERS_CHARACTERS)}")
        return as_svg(drawing, "energy", "Joules per answer for each variant")


def _decode(variant: VariantResult) -> list[tuple[int, float, float]]:
    """Depth, tok/s and half of its 95 % interval, where measured."""
    depths = variant.speed.depths if variant.speed else []
    known = [each for each in depths if is_known(each.decode_tps)]
    return [(each.depth, each.decode_tps.value or 0.0, half_width(each.decode_tps) or 0.0) for each in known]


def _line(axes: Axes, index: int, points: Sequence[tuple[int, float, float]]) -> None:
    depths, values, errors = zip(*points, strict=True)
    dashes = _DASHES[index // 2 % len(_DASHES)]
    axes.errorbar(depths, values, yerr=errors, color=series(index), linewidth=1.8, linestyle=dashes,
                  marker="o", markersize=4.5, elinewidth=1.2, capsize=3)  # fmt: skip


def _letters(axes: Axes, ends: Mapping[int, tuple[int, float]], letters: Sequence[str]) -> None:
    """Letters beside the ends of lines, pushed apart where the lines meet."""
    places = {index: axes.transData.transform(end) for index, end in ends.items()}
    ordered = sorted(places, key=lambda index: places[index][1])
    heights = _apart([places[index][1] for index in ordered])
    for index, y in zip(ordered, heights, strict=True):
        x = places[index][0] + 14
        axes.annotate(letters[index], (x, y), xycoords="figure pixels", ha="center", va="center", fontsize=12,
                      weight="bold", color=series(index), annotation_clip=False)  # fmt: skip


def _apart(wanted: Sequence[float]) -> list[float]:
    """`wanted`, ascending, moved as little as possible so that lines of text do not touch: without the room
    that each line takes it is the isotonic regression, by pooling neighbours that are out of order."""
    pools: list[list[float]] = []
    for number, y in enumerate(wanted):
        pools.append([y - number * _LINE_HEIGHT])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    return [
        fmean(pool) + number * _LINE_HEIGHT
        for number, pool in enumerate(pool for pool in pools for _ in pool)
    ]
