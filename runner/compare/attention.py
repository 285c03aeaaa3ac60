"""Flash attention as the daemon serves a model, so that a comparison times what people get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelstore.header import Header
from native import attention
from runner.compare.variant import Variant

# How a model is run, and its shape.
Kind = tuple[str, str, int | None, int | None, int | None]


def as_served(headers: Mapping[Variant, Header], folder: Path, processors: Sequence[str]) -> list[Variant]:
    """The same, without flash attention where these `processors` are faster so: a worker's record of that is
    in `folder`; before it has one, it begins with a guess. Files of one shape are run alike, as the first of
    them that was measured: else their speeds could not be compared."""
    kinds = {variant: _kind(variant, header, processors) for variant, header in headers.items()}
    is_plain: dict[Kind, bool] = {}
    for variant, kind in kinds.items():
        if verdict := attention.Record(folder, variant.path, kind[0]).read():
            is_plain.setdefault(kind, not verdict.flash_attention)
    return [
        replace(each, engine=replace(each.engine, flash_attention=False))
        if is_plain.get(kinds[each], _begins_plain(headers[each])) and _may_be_plain(each, headers[each])
        else each
        for each in headers
    ]


def _kind(variant: Variant, header: Header, processors: Sequence[str]) -> Kind:
    engine = variant.engine
    run = attention.conditions(processors, engine.threads, engine.kv_type_k, engine.kv_type_v)
    return run, header.architecture, header.block_count, header.head_count, header.key_length


def _begins_plain(header: Header) -> bool:
    return header.key_length is not None and attention.is_plain_first(header.key_length)


def _may_be_plain(variant: Variant, header: Header) -> bool:
    engine, least = variant.engine, attention.LEAST_MICRO_BATCH_TOKENS
    room = attention.plain_micro_batch_tokens(header.head_count or 1, engine.context_length, least)
    return (
        engine.flash_attention is None
        and attention.is_open(engine.gpu_layers, engine.kv_type_v)
        and room == least
    )
