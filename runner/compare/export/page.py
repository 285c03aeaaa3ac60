"""The report: one HTML file that loads nothing, runs nothing, and reads well in light and dark."""

from __future__ import annotations

from importlib import resources
from string import Template

from markupsafe import Markup

from runner.compare.export.answers import answers, strips
from runner.compare.export.columns import at_depth_zero, memory
from runner.compare.export.markup import Content, details, element, joined
from runner.compare.export.plots.energy import energy_bars
from runner.compare.export.plots.ladder import ladder
from runner.compare.export.plots.memory import waterfall
from runner.compare.export.plots.speed import depth_curve, speed_bars
from runner.compare.export.plots.tradeoff import tradeoff
from runner.compare.export.tables import domain_table, full_table, main_table, memory_table, provenance
from runner.compare.export.words import context, size, with_error
from runner.wire.compare import Comparison, VariantResult


def page(comparison: Comparison) -> str:
    """Raises UserError if matplotlib is not installed."""
    files = resources.files("runner.compare.export")
    template = Template(files.joinpath("page.html").read_text("utf-8"))
    style = files.joinpath("palette.css").read_text("utf-8") + files.joinpath("page.css").read_text("utf-8")
    sections = (
        _verdict(comparison), _overview(comparison), _quality(comparison), _speed(comparison), _energy(comparison),
        _answers(comparison), _provenance(comparison),
    )  # fmt: skip
    title = Markup.escape(f"{comparison.model}: which quantization")
    return template.substitute(title=title, style=style, main=joined(sections))


def _verdict(comparison: Comparison) -> Markup:
    recommended = comparison.recommendation
    eyebrow = element("p", f"{comparison.model} · {context(comparison.context)} context", class_="eyebrow")
    if recommended is None:
        return element("header", eyebrow, element("h1", "No recommendation"), *_notes(comparison))
    chosen = next((each for each in comparison.variants if each.name == recommended.choice), None)
    headline = f"Run {recommended.choice}" if chosen else "None of these"
    sentences = [element("p", recommended.reason, class_="lead")]
    if recommended.would_change:
        sentences.append(element("p", recommended.would_change))
    if recommended.confidence is not None:
        other = f"; otherwise mostly {recommended.runner_up}" if recommended.runner_up else ""
        sure = f"Chosen in {recommended.confidence:.0%} of resamplings within the errors{other}."
        sentences.append(element("p", f"{sure} Intent: {recommended.intent}.", class_="muted"))
    tiles = _tiles(chosen) if chosen else None
    return element("header", eyebrow, element("h1", headline), *sentences, tiles, *_notes(comparison))


def _tiles(variant: VariantResult) -> Markup:
    """The four figures that people ask for first."""
    start, needed, quality = at_depth_zero(variant), memory(variant), variant.quality
    figures = (
        ("memory", size(needed.value) if needed and needed.value else None),
        ("decode, tok/s", with_error(start.decode_tps) if start else None),
        ("KL divergence, nats", with_error(quality.kld_mean) if quality else None),
        ("same first choice, %", with_error(quality.same_top, 100) if quality else None),
    )
    tiles = [element("dt", name) + element("dd", figure) for name, figure in figures if figure is not None]
    return element("dl", *(element("div", tile) for tile in tiles), class_="tiles")


def _notes(comparison: Comparison) -> list[Markup]:
    return [element("p", note, class_="note") for note in comparison.notes]


def _overview(comparison: Comparison) -> Markup:
    wide, narrow = tradeoff(comparison), tradeoff(comparison, is_narrow=True)
    caption = (
        f"Every point is a variant; {comparison.reference} is the reference, and its divergence 0. The line"
    )
    caption += " joins those that no other beats; a band joins those that this measurement cannot tell apart."
    caption += " Whiskers are 95 % intervals; hollow points do not fit."
    return _section(
        "Quality against memory", _both(wide, narrow, caption), main_table(comparison),
        details("All figures", full_table(comparison)),
    )  # fmt: skip


def _quality(comparison: Comparison) -> Markup | None:
    heat_map = domain_table(comparison)
    rungs = _figure(ladder(comparison), "Median and tail of the divergence; the upright stroke is the mean.")
    caption = (
        "Mean KL divergence by kind of text. ▲: surely worse (z ≥ 3) than the same variant is elsewhere."
    )
    domains = _figure(heat_map, caption)
    return (
        _section("Where it hurts", element("div", rungs, domains, class_="pair"))
        if rungs or domains
        else None
    )


def _speed(comparison: Comparison) -> Markup | None:
    bars = _figure(speed_bars(comparison), "Nothing cached; whiskers are one standard error.")
    curve = _figure(
        depth_curve(comparison), "What is left of decode behind long texts; letters as in the table."
    )
    wide, narrow = waterfall(comparison), waterfall(comparison, is_narrow=True)
    where = _both(wide, narrow, "Predicted; the dashed line is what this machine has for a model.")
    where += details("Memory as a table", memory_table(comparison)) if wide else ""
    parts = [element("div", bars, curve, class_="pair") if bars or curve else None, where]
    return _section("Speed and memory", *parts) if any(parts) else None


def _energy(comparison: Comparison) -> Markup | None:
    measured = [each.energy for each in comparison.variants if each.energy]
    if not measured:
        return None
    sensors = sorted({f"{each.sensor} covers {each.covers}" for each in measured if each.sensor})
    drawn = _figure(energy_bars(comparison), "; ".join(sensors))
    reason = next((each.reason for each in measured if each.reason), None) or "not measurable here"
    return _section("Energy", drawn or element("p", reason, class_="note"))


def _answers(comparison: Comparison) -> Markup | None:
    parts = []
    if strip := strips(comparison):
        caption = "The reference's answer. Heat: KL divergence of the token; a ring: the variant would have"
        caption += " written something else; a red ring: although the reference was sure (lead above 1 nat)."
        parts += [element("p", caption, class_="caption"), strip]
    if compared := answers(comparison):
        caption = "Greedy answers to the same prompts, from where they part."
        parts += [element("h3", "Side by side"), element("p", caption, class_="caption"), compared]
    return _section("The answers themselves", *parts) if parts else None


def _provenance(comparison: Comparison) -> Markup:
    return _section("Provenance", provenance(comparison))


def _section(title: str, *content: Content) -> Markup:
    return element("section", element("h2", title), *content)


def _figure(drawn: Markup | None, caption: str) -> Markup | None:
    return drawn and element("figure", drawn, element("figcaption", caption))


def _both(wide: Markup | None, narrow: Markup | None, caption: str) -> Markup | None:
    """A picture for wide screens and one for telephones; the page shows one of them."""
    if wide is None or narrow is None:
        return None
    drawn = element("div", wide, class_="wide") + element("div", narrow, class_="narrow")
    return element("figure", drawn, element("figcaption", caption))
