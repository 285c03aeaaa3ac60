"""What is scored: runs of tokens, and what two models said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEMPERATURES = (1.01, 1.02, 1.05, 1.1, 1.2, 1.5)
"""Of the reference, for the temperature equivalent (KL divergence of the reference from itself at each)."""


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens decoded together from an empty cache: one cluster of the statistics.

    Scored are the predictions of `tokens[first_scored:]`, each made from all tokens before it.
    `scored_bytes` is the length in UTF-8 of the text that the scored tokens spell, for bits per byte.
    """

    index: int
    domain: str
    tokens: tuple[int, ...]
    first_scored: int
    scored_bytes: int

    @property
    def scored_tokens(self) -> int:
        return len(self.tokens) - self.first_scored


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """Of the reference alone, natural logarithms, one value for each scored token.

    `nll` is -ln p of the token that follows, `margin` ln p of the first choice less that of the second,
    `entropy` in nats. `kld_at` holds, for each of TEMPERATURES, the sum over the tokens of KL(p ‖ p at that
    temperature).
    """

    nll: NDArray[np.float64]
    margin: NDArray[np.float32]
    entropy: NDArray[np.float32]
    kld_at: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CandidateScores:
    """Of one candidate beside the reference, for each scored token: `nll` is -ln q of the token that follows,
    `kld` KL(p ‖ q), `same_top` whether both have the same first choice."""

    nll: NDArray[np.float64]
    kld: NDArray[np.float64]
    same_top: NDArray[np.bool_]
