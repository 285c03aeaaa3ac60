"""Reads the header of a GGUF file, which may be hostile: bounded in time and memory, no native code.

llama.cpp aborts its process on files that it did not expect, so what passes here is what it can hold:
known types, counts within its tables, tensors side by side and inside the file.
"""

from __future__ import annotations

from math import prod
from typing import BinaryIO

from modelstore.gguf_stream import Entry, GgufStream, refuse
from modelstore.gguf_types import TENSOR_TYPES
from modelstore.header import Header, Tensor
from modelstore.header_checks import check_model

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_KEYS_LIMIT = _TENSORS_LIMIT = 65_536
_KEY_LIMIT_BYTES = 256
# llama.cpp's names are C strings of 64 bytes.
_TENSOR_NAME_LIMIT_BYTES = 63
_DIMENSIONS_LIMIT = 4
_WEIGHTS_LIMIT = 2**48
_ALIGNMENT_LIMIT = 65_536


def read_header(stream: BinaryIO, size_bytes: int | None) -> Header:
    """The header at the start of `stream`; `size_bytes` is the whole file's size, None if unknown.

    Reads little more than the header. Raises InvalidModel, naming what is wrong and the byte offset.
    """
    source = GgufStream(stream)
    version = _read_version(source)
    tensor_count = _read_count(source, "tensors", _TENSORS_LIMIT)
    entries = _read_metadata(source, _read_count(source, "metadata keys", _KEYS_LIMIT))
    alignment = _alignment(entries.get("general.alignment"))
    tensors = _read_tensors(source, tensor_count, alignment)
    data_offset = _aligned(source.offset, alignment)
    _check_end(tensors[-1], data_offset, size_bytes)
    metadata = {key: entry.value for key, entry in entries.items()}
    header = Header(version, metadata, tensors, data_offset)
    check_model(header, entries)
    return header


def _read_version(source: GgufStream) -> int:
    magic = source.take(4)
    if magic != _MAGIC:
        refuse(f"it starts with {magic!r} instead of {_MAGIC!r}", 0)
    version = source.number("I")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        which = f"big-endian version {swapped}" if swapped in _VERSIONS else f"version {version}"
        refuse(f"{which} (known: little-endian 2 and 3)", 4)
    return version


def _read_count(source: GgufStream, what: str, limit: int) -> int:
    start = source.offset
    count = source.number("Q")
    if not 1 <= count <= limit:
        refuse(f"{count:,} {what} (1 to {limit:,})", start)
    return count


def _read_metadata(source: GgufStream, count: int) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for _ in range(count):
        start = source.offset
        key = source.string(_KEY_LIMIT_BYTES)
        if not key or key in entries:
            refuse(f"empty or repeated key {key!r}", start)
        entries[key] = source.entry()
    return entries


def _alignment(entry: Entry | None) -> int:
    if entry is None:
        return 32
    value = entry.value
    if (
        entry.type != "u32"
        or not isinstance(value, int)
        or value.bit_count() != 1
        or value > _ALIGNMENT_LIMIT
    ):
        refuse(f"alignment that is no power of two up to {_ALIGNMENT_LIMIT:,}", entry.offset)
    return value


def _read_tensors(source: GgufStream, count: int, alignment: int) -> tuple[Tensor, ...]:
    tensors: dict[str, Tensor] = {}
    expected_offset = 0
    for _ in range(count):
        start = source.offset
        tensor = _read_tensor(source)
        if tensor.name in tensors:
            refuse(f"repeated tensor {tensor.name!r}", start)
        # As llama.cpp wants it: each right after the one before. So none overlap, and no bytes are hidden.
        if tensor.offset != expected_offset:
            refuse(
                f"data of {tensor.name!r} at {tensor.offset:,} instead of {expected_offset:,}, stated", start
            )
        tensors[tensor.name] = tensor
        expected_offset = _aligned(tensor.offset + tensor.size_bytes, alignment)
    return tuple(tensors.values())


def _read_tensor(source: GgufStream) -> Tensor:
    start = source.offset
    name = source.string(_TENSOR_NAME_LIMIT_BYTES)
    dimensions = source.number("I")
    if not name or not 1 <= dimensions <= _DIMENSIONS_LIMIT:
        refuse(f"tensor {name!r} of {dimensions} dimensions (1 to {_DIMENSIONS_LIMIT})", start)
    shape = tuple(source.number("Q") for _ in range(dimensions))
    if not 1 <= prod(shape) < _WEIGHTS_LIMIT:
        refuse(f"tensor {name!r} of shape {shape}", start)
    type_number = source.number("I")
    if type_number not in TENSOR_TYPES:
        refuse(f"tensor {name!r} of unknown type {type_number}", start)
    kind = TENSOR_TYPES[type_number]
    if shape[0] % kind.block_weights:
        refuse(
            f"rows of {shape[0]:,} in {name!r}, not a multiple of {kind.name}'s {kind.block_weights},", start
        )
    size_bytes = prod(shape) // kind.block_weights * kind.block_bytes
    return Tensor(name, kind.name, shape, source.number("Q"), size_bytes)


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _check_end(last: Tensor, data_offset: int, size_bytes: int | None) -> None:
    end = data_offset + last.offset + last.size_bytes
    if size_bytes is not None and end > size_bytes:
        reason = f"the file ends ({end:,} bytes are stated, {last.name!r} being the last tensor)"
        refuse(reason, size_bytes, "The file is incomplete: fetch it again.")
