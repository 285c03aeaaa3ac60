"""The head of a report: what to run and why, in words, and what must be known to read the rest."""

from __future__ import annotations

from markupsafe import Markup

from runner.compare.export.markup import element, joined
from runner.compare.export.words import context, with_error
from runner.readout.course import Course
from runner.readout.numbers import bytes_text
from runner.readout.span import plain
from runner.readout.table import PROBLEM_MARK, memory_bytes, speed_of
from runner.readout.verdict import notes, recommendation
from runner.wire.compare import Comparison, VariantResult


def verdict(comparison: Comparison) -> Markup:
    found, course = comparison.recommendation, Course.of(comparison)
    chosen = next((each for each in comparison.variants if each.name == course.choice), None)
    headline = f"Run {chosen.name}" if chosen else "None of these" if found else "No recommendation"
    _, *sentences = recommendation(found) if found else [()]
    classes = ["lead", *[None] * (len(sentences) - 2), "muted"]
    return element(
        "header",
        element("p", f"{comparison.model} · {context(comparison.context)} context", class_="eyebrow"),
        element("h1", headline),
        *(element("p", plain(line), class_=name) for line, name in zip(sentences, classes, strict=False)),
        _tiles(chosen) if chosen else None,
        element("ul", *(_note(plain(line)) for line in notes(course)), class_="notes"),
    )


def _note(text: str) -> Markup:
    """What is a problem in the terminal stands out here too, without its sign."""
    without = text.removeprefix(f"{PROBLEM_MARK} ")
    return element("li", without, class_=None if without == text else "problem")


def _tiles(chosen: VariantResult) -> Markup:
    """The four figures that people ask for first."""
    decode, quality = speed_of(chosen, "decode_tps"), chosen.quality
    figures = (
        ("memory", bytes_text(memory_bytes(chosen)) if chosen.memory else None),
        ("decode, tok/s", with_error(decode) if decode else None),
        ("KL divergence, nats", with_error(quality.kld_mean) if quality else None),
        ("same first choice, %", with_error(quality.same_top, 100) if quality else None),
    )
    tiles = (element("dt", name) + element("dd", figure) for name, figure in figures if figure is not None)
    return element("dl", joined(element("div", tile) for tile in tiles), class_="tiles")
