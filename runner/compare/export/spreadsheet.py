"""CSV: one row a variant, every figure with its standard error and interval, in stored units."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from runner.compare.export.columns import columns
from runner.wire.compare import Comparison, VariantResult

_PARTS = ("", "_error", "_low", "_high")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters that a spreadsheet program would take for the start of a formula."""


def spreadsheet(comparison: Comparison) -> str:
    """With a line of heads. Empty cells are unknown; texts that look like formulas get an apostrophe."""
    figures = columns(comparison)
    domains = list(dict.fromkeys(domain for each in comparison.variants for domain in each.domains))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    heads = [f"{column.key}{part}" for column in figures for part in _PARTS]
    writer.writerow(["model", "reference", "context", "variant", "digest", "tier", *heads,
                     *(_text(f"kld_mean_{domain}") for domain in domains)])  # fmt: skip
    for variant in comparison.variants:
        values = [getattr(column.figure(variant), part.lstrip("_") or "value", None)
                  for column in figures for part in _PARTS]  # fmt: skip
        writer.writerow([*_facts(comparison, variant), *values, *_domains(variant, domains)])
    return stream.getvalue()


def _facts(comparison: Comparison, variant: VariantResult) -> Iterator[str | int]:
    yield _text(comparison.model)
    yield _text(comparison.reference)
    yield comparison.context
    yield _text(variant.name)
    yield _text(variant.digest)
    yield (variant.quality.tier if variant.quality else None) or ""


def _domains(variant: VariantResult, domains: list[str]) -> list[float | None]:
    found = (variant.domains.get(domain) for domain in domains)
    return [each.kld_mean.value if each else None for each in found]


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
