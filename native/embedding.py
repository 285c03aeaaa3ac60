"""A context that turns token sequences into vectors, or into scores where the model is a reranker.

Not thread-safe, as `native.llama`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from native.binding import api
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model

# Attention of encoders runs over all that shares a batch: beyond this the packing costs more than it saves.
_PACKED_TOKENS = 512
# A language model computes logits for every token it embeds, wanted or not.
_LOGITS_BYTES = 128 * 2**20
_LEAST_BATCH_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Marks:
    """Tokens that the vocabulary wants around a pair of texts."""

    before: list[int]
    between: list[int]
    behind: list[int]


def pair_marks(model: Model) -> Marks:
    """As the file says; a vocabulary that only separates texts (BERT's) also ends with its separator."""
    vocab = model.vocabulary
    separator = int(api.llama_vocab_sep(vocab))
    end = model.eos_token if model.eos_token >= 0 else separator
    ends = [end] if api.llama_vocab_get_add_eos(vocab) else []
    separates = [separator] if api.llama_vocab_get_add_sep(vocab) else []
    begins = [model.bos_token] if api.llama_vocab_get_add_bos(vocab) else []
    return Marks(begins, ends + separates, ends or separates)


def closing_tokens(model: Model) -> frozenset[int]:
    """The tokens that a vocabulary may put behind a text."""
    return frozenset({model.eos_token, int(api.llama_vocab_sep(model.vocabulary))})


def rerank_template(model: Model) -> str | None:
    """How a reranker wants its pairs, with `{query}` and `{document}` in it."""
    text = api.llama_model_chat_template(model.handle, b"rerank")
    return text.decode("utf-8", "replace") if text else None


class EmbeddingContext(Context):
    """Decodes batches of whole texts, all of whose tokens must be outputs, and keeps nothing of them.

    Pooling is the file's; a language model without one is read at its last token. Where that token sees all
    before it, a text may be spread over several decodes (`can_split`); everywhere else it must be in one.
    """

    def __init__(
        self, model: Model, context_length: int, sequences: int, threads: int, prefill_threads: int
    ) -> None:
        """`context_length` is the longest text in tokens, `sequences` the most texts in one decode. Raises
        LlamaError."""
        facts = model.metadata()
        architecture = facts.get("general.architecture", "")
        is_causal = facts.get(f"{architecture}.attention.causal") != "false"
        pooling = int(facts.get(f"{architecture}.pooling_type", api.LLAMA_POOLING_TYPE_NONE))
        if pooling == api.LLAMA_POOLING_TYPE_NONE:
            pooling = api.LLAMA_POOLING_TYPE_LAST if is_causal else api.LLAMA_POOLING_TYPE_MEAN
        splits = is_causal and pooling in (api.LLAMA_POOLING_TYPE_LAST, api.LLAMA_POOLING_TYPE_RANK)
        batch_tokens = _split_batch_tokens(model) if splits else context_length
        self._pooling, self._is_causal = pooling, is_causal
        options = ContextOptions(
            context_length,
            sequences,
            batch_tokens,
            threads,
            prefill_threads,
            # Texts of any length share one cache; an encoder has none, and would divide its length instead.
            kv_unified=True,
        )
        super().__init__(model, options)
        self.can_split = splits
        self.is_reranker = pooling == api.LLAMA_POOLING_TYPE_RANK
        width = api.llama_model_n_cls_out if self.is_reranker else api.llama_model_n_embd_out
        self.width = int(width(model.handle))
        self.packed_tokens = min(_PACKED_TOKENS, batch_tokens)

    def _parameters(self) -> api.llama_context_params:
        params, options, usual = super()._parameters(), self.options, api.llama_context_default_params()
        # A text that is spread over decodes shares the cache with the texts of one batch.
        params.n_ctx = options.context_length + (options.batch_tokens if self._is_causal else 0)
        params.n_outputs_max, params.swa_full = usual.n_outputs_max, usual.swa_full
        params.embeddings = True
        params.pooling_type = self._pooling
        return params

    @property
    def unlisted_bytes(self) -> int:
        """For logits of all tokens, wanted or not, when the first batch is full."""
        return self.options.batch_tokens * self.model.vocabulary_size * ctypes.sizeof(ctypes.c_float)

    def vector(self, sequence: int) -> bytes:
        """`width` 32-bit floats of a sequence that the last decode completed. Raises LlamaError."""
        pointer = api.llama_get_embeddings_seq(self.handle, sequence)
        if not pointer:
            raise LlamaError("llama.cpp has no vector for a sequence it has read")
        return ctypes.string_at(pointer, self.width * ctypes.sizeof(ctypes.c_float))


def _split_batch_tokens(model: Model) -> int:
    affordable = _LOGITS_BYTES // (ctypes.sizeof(ctypes.c_float) * model.vocabulary_size)
    return max(_LEAST_BATCH_TOKENS, min(_PACKED_TOKENS, affordable))
