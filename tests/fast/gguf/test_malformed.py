"""No header of any kind gets more than InvalidModel out of the reader, and none costs much."""

from __future__ import annotations

import io
import itertools
import math
import re
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelstore.errors import InvalidModel
from modelstore.gguf import read_header
from tests.tiny_gguf import ARRAY, BOOL, F32, I32, STRING, U8, U32, RawGguf, string, tensor, value

VALID = RawGguf().build()


def with_key(key: str | bytes, content: bytes) -> RawGguf:
    raw = RawGguf()
    raw.metadata[key] = content
    return raw


def with_tensors(*tensors: bytes) -> RawGguf:
    return RawGguf(tensors=list(tensors))


MATRIX = tensor("a", (32, 32))
HEADS, HEADS_KV = "llama.attention.head_count", "llama.attention.head_count_kv"
TOKENS, SCORES, TYPES = (f"tokenizer.ggml.{each}" for each in ("tokens", "scores", "token_type"))

MALFORMED: dict[str, tuple[RawGguf, str]] = {
    "web page": (RawGguf(magic=b"<!do"), "starts with b'<!do'"),
    "version 0": (RawGguf(version=0), "version 0"),
    "version 1": (RawGguf(version=1), "version 1"),
    "version 4": (RawGguf(version=4), "version 4"),
    "big-endian": (RawGguf(version=0x03000000), "big-endian version 3"),
    "no tensors": (RawGguf(tensor_count=0), "0 tensors"),
    "tensor count 2^63-1": (RawGguf(tensor_count=2**63 - 1), "tensors (1 to 65,536)"),
    "tensor count -1": (RawGguf(tensor_count=-1), "tensors (1 to 65,536)"),
    "key count 2^63-1": (RawGguf(key_count=2**63 - 1), "metadata keys"),
    "empty key": (with_key("", value(U32, 1)), "empty or repeated key"),
    "long key": (with_key("k" * 257, value(U32, 1)), "string of 257 bytes"),
    "key not UTF-8": (with_key(b"\xff\xfe", value(U32, 1)), "not UTF-8"),
    "repeated key": (RawGguf(repeated=[("general.name", value(STRING, "x"))]), "repeated key 'general.name'"),
    "unknown value type": (with_key("x", struct.pack("<II", 13, 0)), "unknown value type 13"),
    "unknown element type": (with_key("x", struct.pack("<IIQ", ARRAY, 99, 1)), "unknown value type 99"),
    "string of 2^63 bytes": (with_key("x", struct.pack("<IQ", STRING, 2**63)), "string of 9,223"),
    "array of 2^40": (with_key("x", struct.pack("<IIQ", ARRAY, U8, 2**40)), "array of 1,099,511,627,776"),
    "array of arrays": (with_key("x", struct.pack("<IIQ", ARRAY, ARRAY, 1)), "array of arrays"),
    "not a number": (with_key("llama.rope.freq_base", value(F32, math.nan)), "is nan"),
    "no architecture": (with_key("general.architecture", value(STRING, "")), "no name"),
    "architecture is a number": (with_key("general.architecture", value(U32, 1)), "no name"),
    "architecture is an escape": (with_key("general.architecture", value(STRING, "\x1b[2J")), "no name"),
    "block count 0": (with_key("llama.block_count", value(U32, 0)), "block_count is 0"),
    "block count 513": (with_key("llama.block_count", value(U32, 513)), "block_count is 513"),
    "block count as text": (with_key("llama.block_count", value(STRING, "2")), "not a whole number"),
    "block count as truth": (with_key("llama.block_count", value(BOOL, True)), "not a whole number"),
    "context length 2^32-1": (with_key("llama.context_length", value(U32, 2**32 - 1)), "context_length is"),
    "no heads": (with_key(HEADS, value(U32, 0)), "head_count from 0"),
    "negative heads": (with_key(HEADS_KV, value(I32, -1)), "head_count_kv from -1"),
    "heads for three layers": (with_key(HEADS, value(ARRAY, (U32, [4, 4, 4]))), "nor one for each layer"),
    "more experts used": (
        RawGguf(repeated=[("llama.expert_count", value(U32, 2)), ("llama.expert_used_count", value(U32, 3))]),
        "3 of 2 experts",
    ),
    "no tokens": (with_key(TOKENS, value(ARRAY, (STRING, []))), "or empty"),
    "tokens are numbers": (with_key(TOKENS, value(ARRAY, (U32, [1, 2, 3]))), "tokens is u32[]"),
    "scores too few": (with_key(SCORES, value(ARRAY, (F32, [0.0]))), "1 values in tokenizer.ggml.scores"),
    "token types narrow": (with_key(TYPES, value(ARRAY, (U8, [1, 1, 1]))), "token_type is u8[]"),
    "template too long": (with_key("tokenizer.chat_template", value(STRING, "x" * 2**21)), "chat template"),
    "alignment 0": (with_key("general.alignment", value(U32, 0)), "alignment"),
    "alignment 3": (with_key("general.alignment", value(U32, 3)), "alignment"),
    "alignment 2^31": (with_key("general.alignment", value(U32, 2**31)), "alignment"),
    "alignment as text": (with_key("general.alignment", value(STRING, "32")), "alignment"),
    "no dimensions": (with_tensors(tensor("a", ())), "0 dimensions"),
    "five dimensions": (with_tensors(tensor("a", (1, 1, 1, 1, 1))), "5 dimensions"),
    "dimension 0": (with_tensors(tensor("a", (32, 0))), "shape (32, 0)"),
    "dimension -1": (with_tensors(tensor("a", (32, -1))), "shape"),
    "dimensions overflow": (with_tensors(tensor("a", (2**32, 2**32, 2**32, 2**32))), "shape"),
    "unknown tensor type": (with_tensors(tensor("a", (32, 32), 31)), "unknown type 31"),
    "row not a multiple": (with_tensors(tensor("a", (48, 32), 2)), "not a multiple of Q4_0's 32"),
    "tensor name of 64 bytes": (with_tensors(tensor("a" * 64, (32,))), "string of 64 bytes"),
    "no tensor name": (with_tensors(tensor("", (32,))), "tensor ''"),
    "repeated tensor": (with_tensors(MATRIX, tensor("a", (32, 32), 0, 4096)), "repeated tensor 'a'"),
    "tensors overlap": (with_tensors(MATRIX, tensor("b", (32, 32), 0, 4064)), "at 4,064 instead of 4,096"),
    "gap between tensors": (with_tensors(MATRIX, tensor("b", (32, 32), 0, 4128)), "instead of 4,096"),
    "unaligned tensor": (with_tensors(tensor("a", (32, 32), 0, 8)), "at 8 instead of 0"),
    "data past the end": (RawGguf(data_bytes=8191), "the file ends"),
}  # fmt: skip


@pytest.mark.parametrize("raw, reason", MALFORMED.values(), ids=MALFORMED)
def test_refused_with_reason_and_offset(raw: RawGguf, reason: str) -> None:
    data = raw.build()
    with pytest.raises(InvalidModel) as refusal:
        read_header(io.BytesIO(data), len(data))
    assert reason in refusal.value.message
    offset = re.search(r"at byte ([\d,]+)$", refusal.value.message)
    assert offset and int(offset.group(1).replace(",", "")) <= len(data)
    assert refusal.value.message.isprintable()


def test_the_spoiled_header_is_accepted_when_not_spoiled() -> None:
    header = read_header(io.BytesIO(VALID), len(VALID))
    assert header.architecture == "llama" and len(header.tensors) == 2


def test_offset_is_where_the_wrong_value_stands() -> None:
    data = RawGguf(tensors=[tensor("a", (32, 32), 31)]).build()
    with pytest.raises(InvalidModel, match=f"at byte {data.index(string('a') + struct.pack('<I', 2)):,}$"):
        read_header(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    "content", [b"", b"G", b"GGUF", b"PK\x03\x04" * 100, b"\x80\x04\x95" * 50, b"\x7fELF" * 40]
)
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidModel):
        read_header(io.BytesIO(content), len(content))


def test_truncation_at_every_byte_of_the_first_4_kib(tiny_model: Path) -> None:
    start = tiny_model.read_bytes()[:4096]
    for length in range(4096):
        with pytest.raises(InvalidModel) as refusal:
            read_header(io.BytesIO(start[:length]), length)
        assert refusal.value.message.endswith(f"ends inside its header at byte {length:,}")


def test_truncation_between_header_and_last_byte(tiny_model: Path) -> None:
    size_bytes = tiny_model.stat().st_size
    header_end = read_header(io.BytesIO(tiny_model.read_bytes()), size_bytes).data_offset
    for length in (*range(header_end, size_bytes, 2**20), size_bytes - 1):
        with (
            tiny_model.open("rb") as stream,
            pytest.raises(InvalidModel, match=f"at byte {length:,}$") as refusal,
        ):
            read_header(stream, length)
        assert "incomplete" in (refusal.value.hint or "")


def assert_bounded(read: Callable[[], object]) -> None:
    """`read` may raise InvalidModel and nothing else, within 1 s of computing and 32 MiB."""
    tracemalloc.start()
    started = time.thread_time()
    try:
        read()
    except InvalidModel as refusal:
        assert "at byte" in refusal.message
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.thread_time() - started < 1
    assert peak_bytes < 32 * 1024**2


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, len(VALID) - 8193), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, len(VALID)),
)
def test_changed_bytes_never_do_worse(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(VALID)
    for place, byte in changes:
        data[place] = byte
    for content in (bytes(data), bytes(data[:cut]), bytes(data[:cut] + data)):
        assert_bounded(lambda content=content: read_header(io.BytesIO(content), len(content)))  # type: ignore[misc]


@given(st.binary(max_size=512))
def test_noise_after_the_magic_never_does_worse(noise: bytes) -> None:
    content = b"GGUF\x03\0\0\0" + noise
    assert_bounded(lambda: read_header(io.BytesIO(content), len(content)))


class Endless(io.RawIOBase):
    """A source that never ends: `start`, then `repeated` for ever."""

    def __init__(self, start: bytes, repeated: bytes) -> None:
        self._pieces = itertools.chain([start], itertools.repeat(repeated))
        self.sent_bytes = 0

    def read(self, size: int = -1) -> bytes:
        piece = next(self._pieces)
        self.sent_bytes += len(piece)
        return piece


def test_an_endless_header_is_given_up() -> None:
    start = VALID[:8] + struct.pack("<QQ", 1, 1) + string("k") + struct.pack("<IIQ", ARRAY, STRING, 4_000_000)
    endless = Endless(start, struct.pack("<Q", 1_000_000) + bytes(1_000_000))
    with pytest.raises(InvalidModel, match="header of more than"):
        read_header(endless, None)  # type: ignore[arg-type]
    assert endless.sent_bytes < 70 * 1024**2
