"""Prefill and decode, and what is left of them behind long texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from runner.compare.export.columns import at_depth_zero, is_known
from runner.compare.export.drawing import as_svg, bare, color, figure, series
from runner.compare.export.plots.rows import WIDTH, bars, height, prepare
from runner.compare.export.words import context
from runner.readout.course import Course
from runner.readout.numbers import half_width
from runner.wire.compare import Comparison, VariantResult

_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))

_LINE_HEIGHT = 13.5


def speed_bars(comparison: Comparison) -> Markup | None:
    shown = [each for each in comparison.variants if at_depth_zero(each)]
    if not shown:
        return None
    starts = [at_depth_zero(each) for each in shown]
    with figure(WIDTH, height(len(shown), 30)) as drawing:
        left, right = drawing.subplots(1, 2, sharey=True)
        prepare(left, comparison, shown, grid=None)
        bare(right)
        right.tick_params(labelleft=False)
        bars(left, [each.prefill_tps if each else None for each in starts], "c5")
        bars(right, [each.decode_tps if each else None for each in starts], "c0")
        left.set_title("prefill, tok/s", color=color("muted"))
        right.set_title("decode, tok/s", color=color("muted"))
        return as_svg(drawing, "speed", "Prefill and decode in tokens a second for each variant")


def depth_curve(comparison: Comparison) -> Markup | None:
    """None unless decode was measured behind more than one depth."""
    letters = Course.of(comparison).letters
    shown = [(index, each) for index, each in enumerate(comparison.variants) if len(_decode(each)) > 1]
    if not shown:
        return None
    with figure(WIDTH, max(260, height(len(shown), 64))) as drawing:
        axes = drawing.add_subplot()
        bare(axes, grid="y")
        for index, variant in shown:
            _line(axes, index, _decode(variant))
        depths = sorted({depth for _, each in shown for depth, _, _ in _decode(each)})
        axes.set_xticks(depths, [context(depth) for depth in depths])
        axes.set_xlim(-0.02 * depths[-1], depths[-1] * 1.06)
        axes.set_ylim(bottom=0)
        axes.tick_params(axis="y", labelcolor=color("muted"))
        axes.set_xlabel("tokens already there")
        axes.set_title("decode, tok/s", color=color("muted"))
        drawing.draw_without_rendering()
        ends = {index: _decode(variant)[-1][:2] for index, variant in shown}
        _letters(axes, ends, [letters[each.name] for each in comparison.variants])
        return as_svg(drawing, "depth", "Decode in tokens a second behind growing depths")


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
    """Letters at the ends of lines, pushed apart where the lines meet."""
    below = float("-inf")
    for index, end in sorted(ends.items(), key=lambda item: item[1][1]):
        x, y = axes.transData.transform(end)
        below = max(y, below + _LINE_HEIGHT)
        axes.annotate(letters[index], (x + 14, below), xycoords="figure pixels", ha="center", va="center",
                      fontsize=11, weight="bold", color=series(index), annotation_clip=False)  # fmt: skip
