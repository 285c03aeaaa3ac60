"""Whole comparisons of a small model through a real daemon, and what happens when they are disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from threading import Event

import psutil
import pytest

from modelstore.errors import NybbleError
from modelstore.gguf import read_header
from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from runner.wire.compare import (
    CompareEvent,
    ComparePlanned,
    CompareProgress,
    CompareRequest,
    CompareSettled,
    Comparison,
    ComparisonDone,
    VariantMeasured,
    VariantResult,
)
from tests.daemons import Daemon
from tests.system.compare.conftest import QUANTIZATIONS
from tests.tiny_gguf import write_model

QUALITY = CompareRequest(name="tiny", measure="quality", chunks=8, compatible=True, context=512)
"""Eight blocks: as few as a ranking can be settled by. Half of each is scored, which is faster."""


async def run(daemon: Daemon, request: CompareRequest) -> list[CompareEvent]:
    async with daemon.client() as client:
        return [event async for event in client.compare(request)]


async def result(daemon: Daemon, request: CompareRequest) -> Comparison:
    last = (await run(daemon, request))[-1]
    assert isinstance(last, ComparisonDone)
    return last.comparison


def rows(comparison: Comparison) -> dict[str, VariantResult]:
    return {row.name: row for row in comparison.variants}


def kld(row: VariantResult) -> float:
    assert row.quality is not None and row.quality.kld_mean.value is not None
    return row.quality.kld_mean.value


def scoring(events: list[CompareEvent]) -> list[CompareProgress]:
    return [each for each in events if isinstance(each, CompareProgress) and each.phase == "scoring"]


async def test_quality_of_three_quantizations(compared: Daemon) -> None:
    events = await run(compared, QUALITY)
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds[:3] == ["progress", "planned", "variant"] and kinds[-1] == "done"
    planned = next(event for event in events if isinstance(event, ComparePlanned))
    assert {row.name for row in planned.variants} == {"F16", *QUANTIZATIONS}
    assert planned.reference == "F16" and all(row.size_bytes > 10**6 for row in planned.variants)
    settled = [event for event in events if isinstance(event, CompareSettled)]
    assert len(settled) == 1

    running = [
        event.variant.quality.tokens
        for event in events
        if isinstance(event, VariantMeasured) and event.variant.name == "Q2_K" and event.variant.quality
    ]
    assert len(set(running)) > 2 and running == sorted(running), "figures grow block by block"

    done = events[-1]
    assert isinstance(done, ComparisonDone)
    comparison = done.comparison
    by_name = rows(comparison)
    assert 0 == kld(by_name["F16"]) < kld(by_name["Q8_0"]) < kld(by_name["Q4_K_M"]) < kld(by_name["Q2_K"])
    assert all(row.quality and row.quality.kld_mean.error is not None for row in comparison.variants)
    assert by_name["F16"].is_reference and not any(row.problems for row in comparison.variants)
    assert comparison.noise_floor is not None and (comparison.noise_floor.value or 0) < 1e-5
    assert by_name["Q4_K_M"].answers is not None and by_name["Q4_K_M"].strip
    control = by_name["F16"].answers
    assert control is not None and all(fork.token is None for fork in control.forks)
    assert by_name["Q4_K_M"].types.keys() == {"F32", "Q4_K", "Q6_K"}
    assert comparison.ties == [] and comparison.recommendation is not None
    assert len(comparison.text["stream"]) == 64 and comparison.hardware["cpu"]

    async with compared.client() as client:
        assert [info.id for info in await client.comparisons()] == [comparison.id]
        assert await client.comparison(comparison.id or 0) == comparison
        with pytest.raises(NybbleError, match="no comparison 99") as unknown:
            await client.comparison(99)
        assert unknown.value.status == 404


async def test_speed_memory_and_a_quantization_that_is_made_for_this(compared: Daemon, home: Path) -> None:
    request = CompareRequest(name="tiny", measure="speed", quants=["Q8_0", "q5_0"], context=512)
    comparison = await result(compared, request)
    by_name = rows(comparison)
    assert list(by_name) == ["F16", "Q8_0", "Q5_0"]
    for row in comparison.variants:
        assert row.speed is not None and (row.speed.depths[0].decode_tps.value or 0) > 1
        assert row.memory is not None and row.memory.measured_bytes and row.energy is not None
        assert row.quality is None and row.digest.startswith("sha256:")
    assert by_name["Q5_0"].tag is None
    assert not list((home / "cache" / "compare").rglob("*.gguf")), "what was made is removed"


async def test_two_who_ask_for_the_same_share_one_comparison(compared: Daemon) -> None:
    first, second = await asyncio.gather(run(compared, QUALITY), run(compared, QUALITY))
    assert first[-1] == second[-1] and isinstance(first[-1], ComparisonDone)
    async with compared.client() as client:
        assert len(await client.comparisons()) == 1


async def test_a_killed_comparison_goes_on_where_it_was(compared: Daemon) -> None:
    seen: list[CompareEvent] = []
    with pytest.raises(NybbleError, match="ended without a result"):
        async with compared.client() as client:
            async for event in client.compare(QUALITY):
                seen.append(event)
                if (scored := scoring([event])) and scored[0].completed == 3:
                    conductors(compared)[0].kill()
    blocks = scoring(seen)
    assert (blocks[-1].completed or 0) < (blocks[-1].total or 0)

    resumed = scoring(await run(compared, QUALITY))
    assert resumed[-1].completed == resumed[-1].total
    assert (resumed[-1].total or 0) <= (blocks[-1].total or 0) - (blocks[-1].completed or 0)

    again = await run(compared, QUALITY)
    assert scoring(again) == [], "nothing is left to score"


async def test_who_leaves_ends_all_children(compared: Daemon, home: Path) -> None:
    request = QUALITY.model_copy(update={"quants": ["Q5_0", "Q4_0"]})
    async with compared.client() as client, aclosing(client.compare(request)) as events:
        children = await until_scoring(compared, events)
    assert len(children) >= 2, "the conductor and what scores"
    gone, alive = await asyncio.to_thread(psutil.wait_procs, children, 60)
    assert not alive and len(gone) == len(children)
    assert not list((home / "cache" / "compare").rglob("*.gguf"))


async def until_scoring(daemon: Daemon, events: AsyncGenerator[CompareEvent]) -> list[psutil.Process]:
    async for event in events:
        if scoring([event]):
            (conductor,) = conductors(daemon)
            return [conductor, *conductor.children(recursive=True)]
    raise AssertionError("it never scored")


def conductors(daemon: Daemon) -> list[psutil.Process]:
    children = psutil.Process(daemon.pid).children()
    return [child for child in children if "runner.compare" in child.cmdline()]


async def test_broken_variants_become_rows_with_problems(
    compared: Daemon, store: Store, tmp_path: Path, tiny_model: Path
) -> None:
    altered = store.check(store.get("tiny:q4_k_m"))
    flip_a_byte(altered)
    pull(store, str(not_a_number(tiny_model, tmp_path)), "nan", HubOptions(), lambda _: None, Event())
    pull(store, str(write_model(tmp_path / "bytes.gguf")), "bytes", HubOptions(), lambda _: None, Event())
    quants = ["Q8_0", "Q4_K_M", "nan", "bytes", "nonsense", "IQ1_S"]
    comparison = await result(compared, QUALITY.model_copy(update={"quants": quants, "chunks": 3}))
    by_name = rows(comparison)
    problems = {name: "; ".join(row.problems) for name, row in by_name.items()}
    assert problems["tiny:latest"] == problems["Q8_0"] == "" and kld(by_name["Q8_0"]) > 0
    assert "do not match their digest" in problems["Q4_K_M"]
    # Whoever shows it says whose it is.
    assert problems["nan:latest"].startswith("its logits are not numbers")
    assert "different vocabularies" in problems["F32"]
    assert "neither a quantization nor a local model" in problems["nonsense"]
    assert "importance matrix" in problems["IQ1_S"]
    other = by_name["F32"].quality
    assert other is not None and other.bits_per_byte.value and other.kld_mean.value is None
    assert comparison.recommendation is not None and comparison.recommendation.choice in (
        "tiny:latest",
        "Q8_0",
    )


def flip_a_byte(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(-100, 2)
        before = file.read(1)
        file.seek(-100, 2)
        file.write(bytes([before[0] ^ 0xFF]))


def not_a_number(model: Path, folder: Path) -> Path:
    """A copy with a layer full of NaN."""
    data = bytearray(model.read_bytes())
    with model.open("rb") as stream:
        header = read_header(stream, len(data))
    tensor = next(each for each in header.tensors if each.name == "blk.2.ffn_down.weight")
    start = header.data_offset + tensor.offset
    data[start : start + tensor.size_bytes] = b"\x00\x7e" * (tensor.size_bytes // 2)
    path = folder / "nan.gguf"
    path.write_bytes(data)
    return path


async def test_a_model_is_compared_with_its_own_settings(home: Path, store: Store) -> None:
    (home / "config.toml").write_text('[models.tiny]\nkv_type = "q8_0"\n')
    with Daemon(home) as daemon:
        async with daemon.client() as client, aclosing(client.compare(QUALITY)) as events:
            plan = await anext(event async for event in events if isinstance(event, ComparePlanned))
    assert any("a KV cache of q8_0 and q8_0" in note for note in plan.notes)


async def test_settings_of_one_file_beside_each_other(compared: Daemon) -> None:
    vary = {"kv_type": ["f16", "q4_0"], "speculation": ["on", "off"]}
    request = QUALITY.model_copy(update={"name": "tiny:q8_0", "vary": vary, "chunks": 4, "measure": "all"})
    by_name = rows(await result(compared, request))
    assert list(by_name) == [
        "Q8_0",
        "Q8_0 · KV q4_0",
        "Q8_0 · speculation on",
        "Q8_0 · speculation off",
    ]
    assert kld(by_name["Q8_0 · KV q4_0"]) > 0.001
    speculated = by_name["Q8_0 · speculation on"].speed
    assert speculated is not None and (speculated.depths[0].decode_tps.value or 0) > 1


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"name": "absent"}, "not found"),
        ({"quants": ["Q4_K_X"]}, "nothing to compare"),
        ({"vary": {"color": ["red"]}}, "color is nothing that can be varied"),
        ({"vary": {"kv_type": ["q9"]}}, "kv_type cannot be q9"),
        ({"text": "too short"}, "has only"),
        ({"name": "tiny:q2_k", "quants": ["Q8_0", "IQ2_XS"], "reference": "Q6_K_L"}, "neither"),
    ],
)
async def test_what_cannot_be_compared_is_refused(
    compared: Daemon, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(NybbleError, match=words) as refusal:
        await run(compared, QUALITY.model_copy(update=fields))
    assert 400 <= refusal.value.status < 500
