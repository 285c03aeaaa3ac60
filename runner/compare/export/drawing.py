"""Pictures with matplotlib, as SVG whose colours are CSS variables and whose text is text.

matplotlib is told one odd colour for each role; in the SVG these become `var(--role)`, so that one picture
serves light and dark pages. This and `plots` are imported only once `export` knows that matplotlib is there.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

ROLES = (
    "card", "ink", "muted", "line", "accent", "bad", "weights", "kv", "compute", "spare",
    "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7",
)  # fmt: skip
"""Names of CSS variables; palette.css gives them values."""

WIDE, HALF, NARROW = 1040, 506, 336
"""What pictures may take of the page's width, and of a telephone's, in CSS pixels."""

_SERIES = 8
_POINTS_PER_INCH = 72
_ROOT = re.compile(r".*?<svg [^>]*viewBox=\"([^\"]*)\"[^>]*>", re.DOTALL)
_FONT = re.compile(r"(font(?:-family)?: ?[^;\"]*?)'DejaVu Sans'[^;\"]*")
_IDS = re.compile(r"(\bid=\"|href=\"#|url\(#)")


def color(role: str) -> str:
    """What to tell matplotlib for one of ROLES."""
    return f"#0{ROLES.index(role):02x}0f1"


def series(index: int) -> str:
    """The colour of the variant of that index; letters tell them apart beyond eight."""
    return color(f"c{index % _SERIES}")


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure, in CSS pixels."""
    with mpl.rc_context(_style()):
        yield Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), dpi=_POINTS_PER_INCH)


def settle(drawn: Figure) -> None:
    """Give the axes of `drawn` the places that they will have: what is put beside points needs these."""
    if engine := drawn.get_layout_engine():
        engine.execute(drawn)


def bare(axes: Axes, grid: Literal["x", "y"] | None = None) -> None:
    """Leaves of `axes` only what carries information."""
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, linewidth=1)


def write(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], role: str, **style: Any
) -> None:
    """Small text beside a place of `axes`, `offset` in pixels."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", fontsize=12, color=color(role),
                  annotation_clip=False, **style)  # fmt: skip


def plain_log(axis: Literal["x", "y"], axes: Axes) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5 times powers of ten, written as people write them."""
    getattr(axes, f"set_{axis}scale")("log")
    chosen = getattr(axes, f"{axis}axis")
    low, high = sorted(getattr(axes, f"get_{axis}lim")())
    chosen.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,), numticks=20))
    chosen.set_minor_locator(NullLocator())
    axes.tick_params(axis=axis, labelcolor=color("muted"))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def as_svg(drawn: Figure, name: str, label: str, css: str = "") -> Markup:
    """`drawn` as an SVG element that scales with its container; `name` is unique in the page among pictures
    of its width, `label` says in a sentence what it shows. With `css` it can stand alone as a file."""
    stream = io.StringIO()
    name = f"{name}-{drawn.get_figwidth() * _POINTS_PER_INCH:.0f}"
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        # Names in scripts that matplotlib's font lacks: the browser has fonts for them.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        # `savefig` draws everything twice, once for the layout alone.
        FigureCanvasSVG(drawn).print_svg(stream, metadata=nothing)  # type: ignore[no-untyped-call]
    svg = _FONT.sub(r"\1var(--font)", stream.getvalue())
    for role in ROLES:
        svg = svg.replace(color(role), f"var(--{role})")
    _, box, inner = _ROOT.split(svg, maxsplit=1)
    spaces = ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"' if css else ""
    root = f'<svg{spaces} viewBox="{box}" role="img" aria-label="{escape(label)}">'
    style = f"<style>{css}</style>" if css else ""
    return Markup(root + style + _IDS.sub(rf"\1{name}-", inner))


def _style() -> Any:
    """Settings of matplotlib; their type is thousands of characters long."""
    ink, muted = color("ink"), color("muted")
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "nybble",
        "text.parse_math": False,  # names may contain $
        "axes.prop_cycle": cycler(color=[ink]),
        "font.family": "DejaVu Sans",
        "font.size": 13,
        "text.color": ink,
        "axes.labelcolor": muted,
        "axes.labelsize": 13,
        "axes.edgecolor": color("line"),
        "axes.facecolor": "none",
        "axes.titlecolor": muted,
        "axes.titlesize": 13,
        "axes.titlelocation": "left",
        "axes.titley": 1.0,  # else the space above is measured again and again
        "xtick.color": muted,
        "ytick.color": ink,
        "xtick.labelsize": 12,
        "ytick.labelsize": 12,
        "grid.color": color("line"),
        "hatch.color": color("line"),
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.w_pad": 0.1,
        "figure.constrained_layout.h_pad": 0.08,
        "figure.facecolor": "none",
        "legend.frameon": False,
        "legend.fontsize": 12,
    }
