"""CSV: one row a variant, every figure with its standard error and interval, in stored units."""

from __future__ import annotations

import csv
import io

from runner.compare.export.columns import columns
from runner.wire.compare import Comparison, VariantResult

_PARTS = {"": "value", "_error": "error", "_low": "low", "_high": "high"}
"""Endings of heads, and fields of `Estimate`."""
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
        values = [getattr(column.figure(variant), field, None)
                  for column in figures for field in _PARTS.values()]  # fmt: skip
        by_domain = [variant.domains[name].kld_mean.value if name in variant.domains else None
                     for name in domains]  # fmt: skip
        writer.writerow([*_facts(comparison, variant), *values, *by_domain])
    return stream.getvalue()


def _facts(comparison: Comparison, variant: VariantResult) -> list[str | int]:
    tier = variant.quality.tier if variant.quality else None
    texts = map(_text, (comparison.model, comparison.reference, variant.name, variant.digest))
    model, reference, name, digest = texts
    return [model, reference, comparison.context, name, digest, tier or ""]


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
