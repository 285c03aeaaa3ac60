"""One model that is scored: loaded once, with a context as long as what it was last asked to read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from native.binding import api
from native.llama import Context, ContextOptions, Model
from native.log import Log

if TYPE_CHECKING:
    from native.score.rows import Rows

# Half of llama-perplexity's micro-batch is read as fast, and waited for half as long at a block's end.
_BATCH_TOKENS = 256
# What one decode's logits may take, in llama.cpp's output buffer and once more where they are computed.
_LOGITS_BYTES = 64 * 2**20
# A tile of llama.cpp's flash attention on CPUs; rows that fill none are rounded in another way.
TILE_TOKENS = 64
# Caches come in so many tokens, so that the next block does not need a new one for a few more.
_CACHE_STEP_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Settings:
    """A file and how it is run, as `native.llama` has it; `threads` for prefill and decode alike."""

    path: str
    threads: int
    gpu_layers: int
    kv_type_k: str
    kv_type_v: str
    flash_attention: bool | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens `start` to `end` of a block, decoded at once; the last `outputs` of them have logits."""

    start: int
    end: int
    outputs: int


def pieces(length: int, first_output: int, most_outputs: int) -> Iterator[Piece]:
    """A block of `length` tokens, of which those from `first_output` on have logits. Cut between
    tiles: logits are those of a block that is decoded at once, as llama-perplexity does."""
    start = 0
    first_tile = first_output // TILE_TOKENS * TILE_TOKENS
    while start < length:
        end = min(length, start + _BATCH_TOKENS, max(start, first_tile) + most_outputs)
        yield Piece(start, end, max(0, end - max(start, first_output)))
        start = end


def most_outputs(vocabulary_size: int) -> int:
    """Tokens with logits in one decode."""
    affordable = _LOGITS_BYTES // (4 * vocabulary_size) // TILE_TOKENS * TILE_TOKENS
    return max(TILE_TOKENS, min(_BATCH_TOKENS, affordable))


def models_at_once(models: int, threads: int) -> int:
    """How many to decode at once, with equal shares of `threads`. Threads of one model wait for each
    other, those of different models do not: as many as take no longer than fewer would if none waited."""

    def time_taken(at_once: int) -> float:
        return -(-models // at_once) / (threads // at_once)

    return min(range(min(models, threads), 0, -1), key=time_taken)


class ScoredModel(Model):
    """Raises LlamaError where llama.cpp refuses."""

    def __init__(self, settings: Settings, log: Log) -> None:
        super().__init__(Path(settings.path), settings.gpu_layers, log=log)
        self.settings = settings
        self.most_outputs = most_outputs(self.vocabulary_size)
        self._reader: Reader | None = None

    def reader(self, length: int) -> Reader:
        """A context for `length` tokens, the same one as long as it is long enough."""
        if self._reader is None or self._reader.options.context_length < length:
            if self._reader:
                self._reader.close()
            self._reader = Reader(self, -(-length // _CACHE_STEP_TOKENS) * _CACHE_STEP_TOKENS)
        return self._reader

    def options(self, length: int, sequences: int, micro_batch_tokens: int | None = None) -> ContextOptions:
        """Of a context for `length` tokens of each of the sequences."""
        settings = self.settings
        return ContextOptions(
            context_length=length,
            sequences=sequences,
            batch_tokens=_BATCH_TOKENS,
            threads=settings.threads,
            prefill_threads=settings.threads,
            kv_type_k=settings.kv_type_k,
            kv_type_v=settings.kv_type_v,
            flash_attention=settings.flash_attention,
            micro_batch_tokens=micro_batch_tokens,
            output_tokens=max(self.most_outputs, sequences),
        )

    def vocabulary_digest(self) -> str:
        """sha256 over all tokens' texts and types."""
        digest = hashlib.sha256()
        for token in range(self.vocabulary_size):
            digest.update(api.llama_vocab_get_text(self.vocabulary, token))
            digest.update(b"\0%d\0" % api.llama_vocab_get_attr(self.vocabulary, token))
        return digest.hexdigest()


class Reader(Context):
    """Reads one block after another."""

    def __init__(self, of: ScoredModel, length: int, micro_batch_tokens: int | None = None) -> None:
        super().__init__(of, of.options(length, 1, micro_batch_tokens))
        self.most_outputs = of.most_outputs
        self.is_on_gpu = of.settings.gpu_layers != 0

    def read(self, tokens: Sequence[int], piece: Piece) -> Rows:
        """Logits of the piece's last tokens, valid until the next one is read. The first piece of a block
        finds the cache empty."""
        if piece.start == 0:
            self.clear(0)
        self.batch.clear()
        end = self.batch.add(0, piece.start, tokens[piece.start : piece.end], outputs=piece.outputs)
        self.decode()
        return self.logits_of(end - piece.outputs, piece.outputs)
