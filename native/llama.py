"""Model and Context: the part of llama.cpp's C API that the engine needs, with Python's manners.

Not thread-safe: one thread owns a Context. All calls release the GIL while llama.cpp computes.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from native.batch import Batch
from native.binding import api
from native.errors import LlamaError
from native.handle import Owner
from native.linux_memory import collapse, mappings, populate_fresh
from native.linux_scratch import align_scratch
from native.log import Log

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# ggml's numbers; the binding lacks some.
_KV_TYPES = {
    "f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2, "iq4_nl": 20,
}  # fmt: skip
_STOPPED = 2
# Anonymous mappings that are larger are weights.
_LEAST_WEIGHTS_BYTES = 8 * 2**20
_FLASH_ATTENTION = {
    None: api.LLAMA_FLASH_ATTN_TYPE_AUTO,
    True: api.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    False: api.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """`context_length` tokens for each of `sequences`; at most `batch_tokens` in one decode, and of these
    `micro_batch_tokens` computed at once (None: all).

    `kv_type_k` and `kv_type_v` are ggml's names of types; `flash_attention` None lets llama.cpp decide.
    `kv_unified` False gives each sequence its own part of the cache, without others' tokens to skip: measured
    on CPUs, `tests/bench/kv_streams.py`. `output_tokens` is how many tokens of a decode may have logits: None
    is enough for the last of each sequence and the guesses behind it. `rollback_tokens` is how many of its
    latest tokens a recurrent state can be taken back by; each takes as much memory as the state.
    """

    context_length: int
    sequences: int
    batch_tokens: int
    threads: int
    prefill_threads: int
    draft_tokens: int = 0
    kv_type_k: str = "f16"
    kv_type_v: str = "f16"
    flash_attention: bool | None = None
    kv_unified: bool = False
    micro_batch_tokens: int | None = None
    output_tokens: int | None = None
    rollback_tokens: int = 0

    @property
    def outputs(self) -> int:
        """Most tokens of a decode that have logits."""
        return self.output_tokens or self.sequences + self.draft_tokens


class Model(Owner):
    """Weights and vocabulary of one GGUF file."""

    def __init__(
        self,
        path: Path,
        gpu_layers: int,
        progress: Callable[[float], object] = lambda _fraction: None,
        log: Log | None = None,
        *,
        with_head: bool = False,
        in_memory: bool = False,
    ) -> None:
        """Load `path`. `gpu_layers` -1 is all, 0 none. `progress` gets 0…1. `with_head` also loads what
        `native.head` needs, which must be in the file. `in_memory` is for those who decode much, and have the
        memory: on Linux, without GPU layers, weights are read instead of mapped from the file, which has
        small pages. What llama.cpp rearranges for the CPU would be in memory twice, too, if it were mapped.

        Raises LlamaError with llama.cpp's words.
        """
        self.log = log or Log()
        is_read = in_memory and sys.platform == "linux" and gpu_layers == 0
        before = mappings() if is_read else {}

        def on_progress(fraction: float, _user_data: object) -> bool:
            if is_read and not fraction:
                # llama.cpp has the memory, and begins to read.
                populate_fresh(before, _LEAST_WEIGHTS_BYTES)
            progress(fraction)
            return True

        if sys.platform == "linux":
            align_scratch()
        params = api.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.load_mtp = with_head
        params.load_mode = api.LLAMA_LOAD_MODE_NONE if is_read else api.LLAMA_LOAD_MODE_AUTO
        params.progress_callback = api.llama_progress_callback(on_progress)
        pointer = api.llama_model_load_from_file(str(path).encode(), params)
        if not pointer:
            # Where the file is, is nobody's business who asks over HTTP.
            words = self.log.last_errors().replace(str(path), path.name)
            raise LlamaError(words or "llama.cpp could not load the file")
        super().__init__(pointer, api.llama_model_free)
        self._weights = mappings() if is_read else {}
        # In the order they were made, each until it is closed.
        self._contexts: dict[Context, None] = {}
        self._vocab = api.llama_model_get_vocab(pointer)
        self.vocabulary_size = int(api.llama_vocab_n_tokens(self._vocab))
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        """Closes its contexts first: freeing one reads its model, or the context that it was made beside."""
        for context in reversed(list(self._contexts)):
            context.close()
        super().close()

    def use_huge_pages(self) -> Iterator[None]:
        """Move weights that are `in_memory` into huge pages, if the system has some: one at each step, of up
        to 5 ms.

        A token reads all weights, and a processor looks up each page they are in, and remembers few of them.
        """
        for start, size_bytes in self._weights.items():
            if size_bytes >= _LEAST_WEIGHTS_BYTES:
                yield from collapse(start, size_bytes)

    # What the file says

    @property
    def vocabulary(self) -> object:
        """llama.cpp's pointer to it, which lives as long as the model."""
        return self.handle and self._vocab

    @property
    def trained_context_length(self) -> int:
        return int(api.llama_model_n_ctx_train(self.handle))

    @property
    def sliding_window(self) -> int:
        """Tokens that sliding-window layers can see; 0 if the model has none."""
        return int(api.llama_model_n_swa(self.handle))

    @property
    def is_recurrent(self) -> bool:
        """Whether layers keep a running state, which no token can be taken back from."""
        return bool(api.llama_model_is_recurrent(self.handle) or api.llama_model_is_hybrid(self.handle))

    @property
    def head_count(self) -> int:
        """Attention heads of the layer that has most."""
        return int(api.llama_model_n_head(self.handle))

    @property
    def head_length(self) -> int:
        """Numbers in the key of a head."""
        metadata = self.metadata()
        stated = metadata.get(f"{metadata.get('general.architecture')}.attention.key_length")
        return int(stated or api.llama_model_n_embd(self.handle) // max(1, self.head_count))

    @property
    def kv_numbers(self) -> int:
        """Numbers that a token has in a KV cache, where all layers are alike."""
        layers, heads = api.llama_model_n_layer(self.handle), api.llama_model_n_head_kv(self.handle)
        return int(2 * layers * heads * self.head_length)

    @property
    def size_bytes(self) -> int:
        return int(api.llama_model_size(self.handle))

    def metadata(self) -> dict[str, str]:
        """The header's scalar keys and values, as text. (llama.cpp does not give out arrays.)"""
        key_of, value_of = api.llama_model_meta_key_by_index, api.llama_model_meta_val_str_by_index
        count = int(api.llama_model_meta_count(self.handle))
        return {self._text(key_of, index): self._text(value_of, index) for index in range(count)}

    def _text(self, getter: Callable[..., int], index: int, size: int = 256) -> str:
        buffer = ctypes.create_string_buffer(size)
        needed = getter(self.handle, index, buffer, size)
        if needed >= size:
            return self._text(getter, index, needed + 1)
        return buffer.value.decode("utf-8", "replace")

    # Vocabulary

    def token_text(self, token: int) -> str:
        """The vocabulary's own spelling of a token, "" for none."""
        if not 0 <= token < self.vocabulary_size:
            return ""
        return str(api.llama_vocab_get_text(self.vocabulary, token).decode("utf-8", "replace"))

    @property
    def bos_token(self) -> int:
        return int(api.llama_vocab_bos(self.vocabulary))

    @property
    def eos_token(self) -> int:
        return int(api.llama_vocab_eos(self.vocabulary))

    def is_end(self, token: int) -> bool:
        """Whether generation ends with this token (end of text, of turn, of message)."""
        return bool(api.llama_vocab_is_eog(self.vocabulary, token))

    @functools.cached_property
    def end_tokens(self) -> list[int]:
        return [token for token in range(self.vocabulary_size) if self.is_end(token)]

    def control_tokens(self) -> Iterator[str]:
        for token in range(self.vocabulary_size):
            if api.llama_vocab_is_control(self.vocabulary, token):
                yield self.token_text(token)

    @functools.cached_property
    def longest_token_characters(self) -> int:
        """No token stands for more characters of a text."""
        return max(len(self.token_text(token)) for token in range(self.vocabulary_size))

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool = True) -> list[int]:
        """Tokens of `text`. `add_special` adds what the model wants at the start (BOS); `parse_special` reads
        spellings of control tokens as these tokens. Raises LlamaError."""
        data = text.encode("utf-8", "replace")
        arguments = (add_special, parse_special)
        tokens = (api.llama_token * (len(data) + 8))()
        count = api.llama_tokenize(self.vocabulary, data, len(data), tokens, len(tokens), *arguments)
        if count < 0:
            # More than one token a byte: spaces that the vocabulary escapes and has no token for.
            tokens = (api.llama_token * -count)()
            count = api.llama_tokenize(self.vocabulary, data, len(data), tokens, len(tokens), *arguments)
        if count < 0:
            raise LlamaError(f"tokenizing {len(data)} bytes failed with {count}")
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Bytes of one token, empty for control tokens. A character may be spread over several tokens. Raises
        LlamaError for one that is not in the vocabulary."""
        piece = self._pieces.get(token)
        if piece is None:
            if not 0 <= token < self.vocabulary_size:
                raise LlamaError(f"token {token} is not one of the model's {self.vocabulary_size}")
            piece = self._pieces[token] = self._read_piece(token)
        return piece

    def _read_piece(self, token: int, size: int = 64) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        count = api.llama_token_to_piece(self.vocabulary, token, buffer, size, 0, False)
        return self._read_piece(token, -count) if count < 0 else bytes(buffer.raw[:count])


class Context(Owner):
    """KV cache and compute buffers: decodes batches of several sequences of one model."""

    def __init__(self, model: Model, options: ContextOptions) -> None:
        """Raises LlamaError if the buffers cannot be had."""
        self.model = model
        self.options = options
        pointer = api.llama_init_from_model(model.handle, self._parameters())
        if not pointer:
            raise LlamaError(model.log.last_errors() or "llama.cpp could not make a context")
        super().__init__(pointer, api.llama_free)
        model._contexts[self] = None
        self.batch = Batch(options.batch_tokens, options.sequences)
        self.threads, self.prefill_threads = options.threads, options.prefill_threads
        self._row_type = ctypes.c_float * model.vocabulary_size
        # Rows have few addresses, and making an array of one takes as long as finding the most likely token.
        self._views: dict[int, NDArray[np.float32]] = {}

    def _parameters(self) -> api.llama_context_params:
        params, options = api.llama_context_default_params(), self.options
        params.n_ctx = options.context_length * options.sequences
        params.n_seq_max = options.sequences
        params.n_batch = options.batch_tokens
        params.n_ubatch = options.micro_batch_tokens or options.batch_tokens
        params.n_threads = options.threads
        params.n_threads_batch = options.prefill_threads
        params.kv_unified = options.kv_unified
        params.type_k, params.type_v = _KV_TYPES[options.kv_type_k], _KV_TYPES[options.kv_type_v]
        params.flash_attn_type = _FLASH_ATTENTION[options.flash_attention]
        # A full-size cache for sliding-window layers costs memory only to make prefix reuse simpler.
        params.swa_full = False
        # Only the last token of a prompt and each sampled one need logits; room for more costs hundreds of
        # MB with a large vocabulary.
        params.n_outputs_max = options.outputs
        params.n_rs_seq = options.rollback_tokens
        params.no_perf = True
        return params

    def close(self) -> None:
        super().close()
        self.model._contexts.pop(self, None)

    @property
    def sequence_context_length(self) -> int:
        """Tokens that one sequence can hold, as llama.cpp rounded them."""
        return int(api.llama_n_ctx_seq(self.handle))

    @property
    def _memory(self) -> object:
        return api.llama_get_memory(self.handle)

    @property
    def unlisted_bytes(self) -> int:
        """What will be taken later, and llama.cpp has not said in its log."""
        return 0

    def set_threads(self, threads: int, prefill_threads: int) -> None:
        self.threads, self.prefill_threads = threads, prefill_threads
        api.llama_set_n_threads(self.handle, threads, prefill_threads)

    def stop_when(self, is_wanted: Callable[[], bool]) -> None:
        """From now on a decode on the CPU ends early when `is_wanted` says so; it is asked very often."""
        self._abort = api.ggml_abort_callback(lambda _data: Log.is_quiet_while(is_wanted()))
        api.llama_set_abort_callback(self.handle, self._abort, None)

    def decode(self) -> bool:
        """Run `self.batch`. False if it was stopped early: a part of it may be in the cache.

        Raises LlamaError; the context must not be used after that.
        """
        status = api.llama_decode(self.handle, self.batch.struct)
        Log.is_quiet = False
        if status not in (0, _STOPPED):
            raise LlamaError(f"llama_decode returned {status}; {self.model.log.last_errors()}")
        return bool(status == 0)

    def logits(self, row: int) -> NDArray[np.float32]:
        """Logits of batch row `row` (one per vocabulary entry): a view, valid until the next decode."""
        address = ctypes.addressof(self.logits_at(row).contents)
        if (view := self._views.get(address)) is None:
            view = self._views[address] = self.logits_of(row, 1)[0]
        return view

    def logits_of(self, row: int, count: int) -> NDArray[np.float32]:
        """`logits` of `count` batch rows from `row` on, all of them with logits, as (count, vocabulary)."""
        import numpy as np  # in processes that look at logits, when they first do

        if not count:
            return np.empty((0, self.model.vocabulary_size), np.float32)
        self.logits_at(row + count - 1)
        rows = (self._row_type * count).from_address(ctypes.addressof(self.logits_at(row).contents))
        return np.frombuffer(rows, np.float32).reshape(count, -1)  # type: ignore[call-overload, no-any-return]

    def logits_at(self, row: int) -> Any:
        """`logits` as C has them, in processes that otherwise need no numpy. Raises LlamaError if that row of
        the last decode has none."""
        if not (pointer := api.llama_get_logits_ith(self.handle, row)):
            raise LlamaError(f"batch row {row} has no logits")
        return pointer

    # Memory of one sequence

    def keep_prefix(self, sequence: int, length: int) -> bool:
        """Drop all but the first `length` tokens. False, with the sequence emptied, if the model cannot:
        recurrent state has no past beyond `rollback_tokens`, and a sliding window may have let go of what is
        needed."""
        window = self.model.sliding_window
        # A token sees itself and `window` - 1 before it.
        is_there = not window or self.positions(sequence)[0] <= max(0, length + 1 - window)
        kept = is_there and api.llama_memory_seq_rm(self._memory, sequence, length, -1)
        if not kept:
            api.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return bool(kept)

    @property
    def can_shift(self) -> bool:
        """Whether `forget` works: recurrent state keeps no tokens apart, and llama.cpp aborts where the cache
        cannot move its keys."""
        return not self.model.is_recurrent and bool(api.llama_memory_can_shift(self._memory))

    def forget(self, sequence: int, start: int, count: int) -> None:
        """Drop `count` tokens from position `start` on, and move the later ones up. Needs `can_shift`."""
        api.llama_memory_seq_rm(self._memory, sequence, start, start + count)
        api.llama_memory_seq_add(self._memory, sequence, start + count, -1, -count)

    def clear(self, sequence: int) -> None:
        api.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def positions(self, sequence: int) -> tuple[int, int]:
        """First and last position held, (-1, -1) if none."""
        return (
            int(api.llama_memory_seq_pos_min(self._memory, sequence)),
            int(api.llama_memory_seq_pos_max(self._memory, sequence)),
        )
