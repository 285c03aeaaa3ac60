"""What a stored figure depends on: it may be used again, or stand beside another, only where all of this is
the same."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from runner.compare.variant import Engine


@dataclass(frozen=True, slots=True)
class ScoreKey:
    """Of what one candidate said beside the reference. `reference` and `candidate` are digests of the files;
    `template` and `stream` digests of the chat template (None: plain text) and of all tokens; `engine` names
    the build of llama.cpp, `hardware` what it computes on; the last two say how each file is run."""

    reference: str
    candidate: str
    template: str | None
    stream: str
    engine: str
    hardware: str
    reference_settings: Engine
    candidate_settings: Engine


@dataclass(frozen=True, slots=True)
class FigureKey:
    """Of one figure of one file: `kind` is "speed", "memory", "energy" or "answers", `plan` how it was
    measured (lengths, depths, repetitions, prompts), in any fixed words. `reference` is the digest of what it
    is relative to, None for nothing."""

    kind: str
    candidate: str
    engine: str
    hardware: str
    settings: Engine
    plan: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class TextKey:
    """Of the answers that the reference wrote to be scored; `plan` names prompts, seed and lengths."""

    reference: str
    template: str | None
    engine: str
    hardware: str
    settings: Engine
    plan: str


Key = ScoreKey | FigureKey | TextKey


def as_text(key: Key) -> str:
    """The same for equal keys, and never for others."""
    return json.dumps({"type": type(key).__name__, **asdict(key)}, sort_keys=True)
