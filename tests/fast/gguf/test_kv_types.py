"""Which types a KV cache may have, and what they cost, against what llama.cpp does."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore.fit import kv_cache_bytes
from modelstore.kv_types import KV_TYPES, KvTypes, obstacle
from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.offload import buffers
from runner.placement import Demand, Machine, Refusal, Wish, place
from tests.fast.gguf.test_fit import model as header_with
from tests.fast.gguf.test_headers import header_of


@pytest.mark.parametrize("kind", KV_TYPES)
def test_every_type_runs_on_the_cpu_and_takes_what_the_arithmetic_says(tiny_model: Path, kind: str) -> None:
    header, types = header_of(tiny_model), KvTypes(kind, "f16")
    assert obstacle(header, types, "auto") is None
    log = Log()
    model = Model(tiny_model, 0, log=log)
    for each in (types, KvTypes("f16", kind)):
        log.infos.clear()
        context = Context(model, ContextOptions(256, 2, 64, 1, 1, kv_type_k=each.k, kv_type_v=each.v))
        context.batch.add(0, 0, [1, 2, 3], 1)
        context.decode()
        measured = sum(buffer.size_bytes for buffer in buffers(log.infos) if buffer.kind == "KV")
        assert kv_cache_bytes(header, 256, 2, each) == pytest.approx(measured, abs=0.005 * 2**20)
        context.close()
    model.close()


HEADER = header_with("llama", ("attn_k",), attention__key_length=80, attention__value_length=64)


@pytest.mark.parametrize(
    ("types", "flash_attention", "gpu", "words"),
    [
        (
            KvTypes("q8_0", "f16"),
            "auto",
            (),
            "keys of type q8_0 come in blocks of 32",
        ),
        (KvTypes("f16", "q8_0"), "off", (), "values of type q8_0 need flash attention"),
        (KvTypes("f16", "iq4_nl"), "auto", ("CUDA0",), "CUDA0 cannot compute attention"),
        (KvTypes("f16", "q8_0"), "auto", ("MTL0",), "MTL0 needs keys and values of one type, not f16/q8_0"),
        (KvTypes("f16", "bf16"), "auto", ("Vulkan0",), "Vulkan0 cannot mix bf16"),
        (KvTypes("f16", "q8_0"), "auto", ("SYCL0",), "SYCL0 cannot"),
    ],
)
def test_what_cannot_be_done_is_said(
    types: KvTypes, flash_attention: str, gpu: tuple[str, ...], words: str
) -> None:
    assert words in (obstacle(HEADER, types, flash_attention, gpu) or "")


@pytest.mark.parametrize("gpu", [(), ("CUDA0", "CUDA1"), ("Vulkan0",)])
def test_what_can_be_done_is_not_refused(gpu: tuple[str, ...]) -> None:
    assert obstacle(HEADER, KvTypes("f16", "q5_1"), "auto", gpu) is None


def test_a_type_that_the_gpu_lacks_is_refused_before_the_load_and_never_moved_to_the_cpu(
    tiny_model: Path,
) -> None:
    machine = Machine(32 * 10**9, 30 * 10**9, ("CUDA0",), 8 * 10**9)
    demand = Demand(header_of(tiny_model), Wish(kv=KvTypes("iq4_nl", "iq4_nl")))
    refused = place(demand, machine, [])
    assert isinstance(refused, Refusal) and "iq4_nl" in refused.reason
    on_cpu = Demand(header_of(tiny_model), Wish(kv=KvTypes("iq4_nl", "iq4_nl"), gpu_layers=0))
    assert not isinstance(place(on_cpu, machine, []), Refusal)
