"""ggml's functions through ctypes, and its tensors: the binding covers llama.cpp, but not ggml.

What a tensor looks like in memory is known here from the header of one version, so every process checks it
with `check_layout` against what ggml's own functions say, before anything is read from one.
"""

from __future__ import annotations

import ctypes
from functools import cache
from math import prod
from typing import Any

from native.errors import LlamaError

F32 = 0
_OBJECT_BYTES = 32
"""What ggml keeps in front of each tensor."""
_POINTER, _SIZE_POINTER = ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)


class GgufOpening(ctypes.Structure):
    """`struct gguf_init_params`."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", _POINTER))


_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "gguf_init_from_file": (_POINTER, (ctypes.c_char_p, GgufOpening)),
    "ggml_tensor_overhead": (ctypes.c_size_t, ()),
    "ggml_get_name": (ctypes.c_char_p, (_POINTER,)),
    "ggml_nelements": (ctypes.c_int64, (_POINTER,)),
    "ggml_nbytes": (ctypes.c_size_t, (_POINTER,)),
    "ggml_op_name": (ctypes.c_char_p, (ctypes.c_int,)),
    "ggml_op_desc": (ctypes.c_char_p, (_POINTER,)),
    "ggml_type_name": (ctypes.c_char_p, (ctypes.c_int,)),
    "ggml_row_size": (ctypes.c_size_t, (ctypes.c_int, ctypes.c_int64)),
    "ggml_get_type_traits": (_POINTER, (ctypes.c_int,)),
    "ggml_quantize_chunk": (
        ctypes.c_size_t,
        (ctypes.c_int, _POINTER, _POINTER, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, _POINTER),
    ),
    "gguf_free": (None, (_POINTER,)),
    "gguf_get_data_offset": (ctypes.c_size_t, (_POINTER,)),
    "gguf_find_key": (ctypes.c_int64, (_POINTER, ctypes.c_char_p)),
    "gguf_get_kv_type": (ctypes.c_int, (_POINTER, ctypes.c_int64)),
    "gguf_get_val_u32": (ctypes.c_uint32, (_POINTER, ctypes.c_int64)),
    "gguf_get_val_str": (ctypes.c_char_p, (_POINTER, ctypes.c_int64)),
    "gguf_get_arr_type": (ctypes.c_int, (_POINTER, ctypes.c_int64)),
    "gguf_get_arr_n": (ctypes.c_size_t, (_POINTER, ctypes.c_int64)),
    "gguf_get_arr_str": (ctypes.c_char_p, (_POINTER, ctypes.c_int64, ctypes.c_size_t)),
    "gguf_get_n_tensors": (ctypes.c_int64, (_POINTER,)),
    "gguf_get_tensor_name": (ctypes.c_char_p, (_POINTER, ctypes.c_int64)),
    "gguf_get_tensor_type": (ctypes.c_int, (_POINTER, ctypes.c_int64)),
    "gguf_get_tensor_offset": (ctypes.c_size_t, (_POINTER, ctypes.c_int64)),
    "gguf_get_tensor_size": (ctypes.c_size_t, (_POINTER, ctypes.c_int64)),
    "ggml_backend_dev_count": (ctypes.c_size_t, ()),
    "ggml_backend_dev_get": (_POINTER, (ctypes.c_size_t,)),
    "ggml_backend_dev_name": (ctypes.c_char_p, (_POINTER,)),
    "ggml_backend_dev_description": (ctypes.c_char_p, (_POINTER,)),
    "ggml_backend_dev_type": (ctypes.c_int, (_POINTER,)),
    "ggml_backend_dev_memory": (None, (_POINTER, _SIZE_POINTER, _SIZE_POINTER)),
    "ggml_backend_buffer_is_host": (ctypes.c_bool, (_POINTER,)),
    "ggml_backend_tensor_get": (None, (_POINTER, _POINTER, ctypes.c_size_t, ctypes.c_size_t)),
}


@cache
def function(name: str) -> Any:
    """The C function `name`, one of `_SIGNATURES`. libggml has the list of devices, libggml-base the rest."""
    from llama_cpp._ctypes_extensions import load_shared_library
    from llama_cpp._ggml import libggml, libggml_base_path

    base = load_shared_library("ggml-base", libggml_base_path)
    found = getattr(base, name, None) or getattr(libggml, name)
    found.restype, found.argtypes = _SIGNATURES[name]
    return found


class Tensor(ctypes.Structure):
    """`struct ggml_tensor`. `ne` counts elements and `nb` bytes to the next one, fastest dimension first."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", _POINTER),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", _POINTER * 10),
        ("view_src", _POINTER),
        ("view_offs", ctypes.c_size_t),
        ("data", _POINTER),
        ("name", ctypes.c_char * 64),
        ("extra", _POINTER),
        ("padding", ctypes.c_char * 8),
    )


def check_size() -> None:
    """Raises LlamaError if this ggml has tensors of another size."""
    expected = int(function("ggml_tensor_overhead")()) - _OBJECT_BYTES
    if ctypes.sizeof(Tensor) != expected:
        raise LlamaError(f"this version of ggml has other tensors: {expected} bytes each")


def check_layout(address: int) -> None:
    """Raises LlamaError if what lies at `address` is not what ggml says of the same tensor."""
    tensor = Tensor.from_address(address)
    said = (
        function("ggml_get_name")(address),
        function("ggml_nelements")(address),
        function("ggml_op_desc")(address),
    )
    if said[:2] != (tensor.name, prod(tensor.ne)) or function("ggml_op_name")(tensor.op) != said[2]:
        raise LlamaError(f"this version of ggml has other tensors: {said} is not what was read")
