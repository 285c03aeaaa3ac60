"""What a stored figure depends on: it may be used again, or stand beside another, only where all of this is
the same."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from runner.compare.variant import Engine


@dataclass(frozen=True, slots=True)
class Key:
    """Of texts that the reference wrote, or of what a candidate said beside it. `reference` and `candidate`
    are digests of the files, the settings say how each is run; `template` is the text of the chat template or
    its digest (None: plain text), `what` says in fixed words what was asked: which tokens, prompts, lengths.
    `engine` names the build of llama.cpp, `hardware` what it computes on."""

    kind: Literal["scores", "answers", "texts"]
    what: str
    reference: str
    reference_settings: Engine
    template: str | None
    engine: str
    hardware: str
    candidate: str | None = None
    candidate_settings: Engine | None = None

    @property
    def text(self) -> str:
        """The same for equal keys, and never for others."""
        return json.dumps(asdict(self), sort_keys=True)
