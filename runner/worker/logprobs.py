"""Log probabilities of picked tokens and of those that might have been."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from native.llama import Model
from runner.protocol import Alternative, TokenLogprob


def logprob(model: Model, logits: NDArray[np.float32], token: int, top: int) -> TokenLogprob:
    """Natural logarithms of the softmax of all `logits`, before samplers and constraints: of `token`, and of
    the `top` most likely tokens."""
    values = logits.astype(np.float64)
    values -= values.max()
    values -= np.log(np.exp(values).sum())
    best = np.argpartition(values, -top)[-top:] if top else np.empty(0, np.intp)
    best = best[np.argsort(-values[best], kind="stable")]
    alternatives = tuple(Alternative(**_fields(model, int(each), values)) for each in best)
    return TokenLogprob(**_fields(model, token, values), top=alternatives)


def _fields(model: Model, token: int, values: NDArray[np.float64]) -> dict[str, Any]:
    data = model.piece(token) or model.token_text(token).encode()
    return {
        "token": token,
        "text": data.decode("utf-8", "replace"),
        "data": data,
        "logprob": float(values[token]),
    }
