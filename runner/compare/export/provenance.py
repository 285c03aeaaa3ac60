"""All that the figures of a report depend on."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from runner.compare.export.markup import element, joined, table
from runner.compare.export.words import with_error
from runner.readout.numbers import duration, percent
from runner.wire.compare import Comparison, VariantResult


def facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Names and values, for people."""
    yield "model", comparison.model
    yield "reference", comparison.reference
    yield "context", f"{comparison.context:,} tokens"
    yield "effort", comparison.effort
    yield "measured", comparison.created_at.strftime("%Y-%m-%d %H:%M %Z").strip()
    if comparison.seconds is not None:
        yield "took", duration(comparison.seconds)
    for room, values in (
        ("engine", comparison.engine),
        ("hardware", comparison.hardware),
        ("text", comparison.text),
    ):
        yield from ((f"{room}: {key.replace('_', ' ')}", value) for key, value in values.items())
    if comparison.noise_floor is not None:
        yield "noise floor, nats", with_error(comparison.noise_floor)


def provenance(comparison: Comparison) -> Markup:
    listed = joined(element("dt", key) + element("dd", value) for key, value in facts(comparison))
    heads = ["file", "digest", "what it contains"]
    if any(each.settings for each in comparison.variants):
        heads.append("settings")
    rows = [_file(each)[: len(heads)] for each in comparison.variants]
    return element("dl", listed) + table(heads, rows, class_="files")


def _file(variant: VariantResult) -> list[Markup]:
    return [
        element("th", variant.name, scope="row"),
        element("td", element("code", variant.digest)),
        element("td", ", ".join(_contents(variant))),
        element("td", ", ".join(f"{key} {value}" for key, value in variant.settings.items())),
    ]


def _contents(variant: VariantResult) -> Iterator[str]:
    """ "Q4_K 61 %", the largest share first."""
    total = sum(variant.types.values()) or 1
    for name, size_bytes in sorted(variant.types.items(), key=lambda item: -item[1]):
        share = size_bytes / total
        yield f"{name} {percent(share) if share >= 0.005 else '< 1 %'}"
