"""Flash attention or plain one: what a processor is faster with, as workers measured it once for each model
and kept it in a file; and what plain attention costs."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PROMPT_TOKENS, ANSWER_TOKENS = 512, 128
STREAMS = 2
"""Several are slower in one kind where one is not; to measure more would take more memory."""
_CLEARLY = 0.95
_SCORES_BYTES = 128 * 2**20
_SCORE_BYTES = 4
# SmolLM2 at a depth of 1,024: 4.8 to 5.0 ms a token in parts of 64 to 256 tokens, 5.8 ms in parts of 512.
_PLAIN_MICRO_BATCH_TOKENS = 128
LEAST_MICRO_BATCH_TOKENS = 64
"""With fewer, reading a prompt gets slow: such a context is better off with flash attention."""
_SHORT_HEAD = 128


def is_plain_first(head_length: int) -> bool:
    """Whether to begin without flash attention, until it is measured. llama.cpp's goes through the context
    token by token, at a cost for each that short heads do not make up for: with 2,000 tokens, the attention
    of a new one takes 1.7 to 2.8 times as long with heads of 32 to 96 numbers, 1.0 to 1.2 times with 128."""
    return head_length < _SHORT_HEAD


@dataclass(frozen=True, slots=True)
class Verdict:
    """Seconds that a turn of 512 new tokens and an answer of 128 takes with flash attention and without: half
    of the answer alone, half of it beside another one."""

    on_s: float
    off_s: float

    @property
    def flash_attention(self) -> bool:
        """Off needs more memory: only if it is clearly faster."""
        return self.off_s > self.on_s * _CLEARLY

    def __str__(self) -> str:
        word = "on" if self.flash_attention else "off"
        turn = f"{PROMPT_TOKENS} tokens of prompt and {ANSWER_TOKENS} of answer"
        return f"flash attention {word}: {turn} take {self.on_s:.2f} s with it, {self.off_s:.2f} s without"


def plain_micro_batch_tokens(head_count: int, context_length: int, most: int) -> int:
    """Tokens to compute at once, `most` or fewer: without flash attention, what all heads make of them and of
    the whole context is in memory at once, which is to take 128 MiB at most, and best stays in caches."""
    fitting = _SCORES_BYTES // (_SCORE_BYTES * max(1, head_count) * context_length)
    return min(most, _PLAIN_MICRO_BATCH_TOKENS, fitting)


def is_open(gpu_layers: int, kv_type_v: str) -> bool:
    """Whether there is a choice: GPUs are made for flash attention, and quantized values need it."""
    return gpu_layers == 0 and kv_type_v in ("f32", "f16", "bf16")


def conditions(processors: Sequence[str], threads: int, kv_type_k: str, kv_type_v: str) -> str:
    """What a measurement of a file depends on. The engine build is in the folder's name."""
    return f"{', '.join(processors)}, {threads} threads, {STREAMS} streams, KV {kv_type_k}/{kv_type_v}"


class Record:
    """The verdict in a file for each model and `conditions`: the machine and settings that it holds for."""

    def __init__(self, folder: Path, model_path: Path, conditions: str) -> None:
        number = zlib.crc32(conditions.encode())
        self._path = folder / f"flash-attention-{model_path.name}-{number:08x}.json"
        self._conditions = conditions

    def read(self) -> Verdict | None:
        """None if nothing was measured under these conditions."""
        try:
            record = json.loads(self._path.read_text("utf-8"))
            if record.pop("conditions") == self._conditions:
                return Verdict(float(record["on_s"]), float(record["off_s"]))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            sys.stderr.write(f"measuring flash attention again: {self._path.name} is no record: {error}\n")
        return None

    def write(self, verdict: Verdict) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".part")
            draft.write_text(json.dumps({"conditions": self._conditions, **asdict(verdict)}), "utf-8")
            draft.replace(self._path)
        except OSError as error:
            sys.stderr.write(f"cannot keep what was measured: {error}\n")
