"""Loading a draft model beside its main model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.log import Log
from runner.worker.drafting.draft_model import DraftModel

_PADDING_TOKENS = 128
"""Vocabularies of one family may differ by so much at their end, where nothing is but padding."""


class Unpaired(LlamaError):
    """These two models cannot work together; `hint` says what can be done."""

    hint = "use a smaller model of the same family, or none (`draft`)"


def load_draft(path: Path, gpu_layers: int, main: Model, options: ContextOptions, log: Log) -> DraftModel:
    """The draft model in `path`, in a context like the main one's `options`.

    Raises Unpaired if it cannot draft for `main`, LlamaError if llama.cpp refuses the file.
    """
    draft = Model(path, gpu_layers, log=log)
    try:
        _check(main, draft)
        # Its heads may be too small for the main model's KV types.
        of_draft = replace(options, draft_tokens=0, kv_type_k="f16", kv_type_v="f16")
        return DraftModel(Context(draft, of_draft), main.size_bytes)
    except LlamaError:
        draft.close()
        raise


def _check(main: Model, draft: Model) -> None:
    """Tokens must mean the same to both, and both must be able to take tokens back."""
    for model, name in ((main, "the model"), (draft, "the draft model")):
        if model.is_recurrent:
            raise Unpaired(f"{name} keeps a running state, which rejected drafts cannot be taken out of")
    sizes = main.vocabulary_size, draft.vocabulary_size
    if abs(sizes[0] - sizes[1]) > _PADDING_TOKENS:
        raise Unpaired(f"the model has {sizes[0]} tokens in its vocabulary and the draft model {sizes[1]}")
    for token in range(min(sizes)):
        if main.token_text(token) != draft.token_text(token):
            words = (
                f"{main.token_text(token)!r} to the model and {draft.token_text(token)!r} to the draft model"
            )
            raise Unpaired(f"token {token} is {words}")
