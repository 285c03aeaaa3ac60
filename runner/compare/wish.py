"""What the user wants, and the least that will do."""

from __future__ import annotations

from dataclasses import dataclass

from runner.compare.tiers import TIERS
from runner.wire.compare import Intent

CODE = "code"


@dataclass(frozen=True, slots=True)
class Floors:
    """What a variant must reach; None asks for nothing. `decode_tps` is tokens a second written, `ttft_s` the
    most seconds before the first token behind a prompt of 2,048, `kld` the most KL divergence in nats."""

    decode_tps: float | None = None
    ttft_s: float | None = None
    kld: float | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """`context` is in tokens, `usable_bytes` the memory that a model may take here with the system left
    usable (None if unknown). `domains` are the kinds of text that count, all together if empty."""

    intent: Intent
    context: int
    usable_bytes: int | None
    floors: Floors = Floors()
    domains: tuple[str, ...] = ()


def usual_floors(intent: Intent, domains: tuple[str, ...] = ()) -> Floors:
    """Reading speed, twice that for code, which is skimmed; a minute before a long prompt is answered, any
    time for who wants the best; never worse than "noticeable"."""
    return Floors(
        decode_tps=20.0 if domains == (CODE,) else 10.0,
        ttft_s=None if intent == "best" else 60.0,
        kld=TIERS["noticeable"].kld,
    )
