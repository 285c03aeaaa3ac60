"""A whole repository of a hub: listed with sizes first, then fetched one file at a time and dropped again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest

from modelstore.errors import NybbleError
from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from runner.wire.compare import ComparePlanned, CompareProgress, CompareRequest, ComparisonDone
from runner.wire.jobs import JobDone, JobProgress
from tests.daemons import Daemon
from tests.system.compare.test_conductor import conductors
from tests.system.modelstore import hub


async def test_files_of_a_hub_are_listed_then_fetched_and_dropped(home: Path, library: Path) -> None:
    store = Store(library)
    paths = {each.quantization: store.check(each) for each in store.models()}
    files = {f"tiny.{label}.gguf": paths[label].read_bytes() for label in ("F16", "Q8_0", "Q4_K_M")}
    request = CompareRequest(
        name="me/model", quants=["Q8_0", "q4_k_m", "Q3_K_S"], measure="quality", compatible=True, chunks=2
    )
    with hub.serve(files) as server, Daemon(home, {"HF_ENDPOINT": server.url}) as daemon:
        async with daemon.client() as client:
            events = [event async for event in client.compare(request)]
            assert await client.models() == [], "nothing that was fetched is kept"
        planned = next(event for event in events if isinstance(event, ComparePlanned))
        assert {row.name: row.size_bytes for row in planned.variants if row.size_bytes} == {
            label: paths[label].stat().st_size for label in ("F16", "Q8_0", "Q4_K_M")
        }
        done = events[-1]
        assert isinstance(done, ComparisonDone)
        by_name = {row.name: row for row in done.comparison.variants}
        assert by_name["Q3_K_S"].problems == ["the repository has no Q3_K_S (There is: F16, Q4_K_M, Q8_0.)"]
        assert by_name["Q8_0"].quality and by_name["Q4_K_M"].quality
        fetched = [request.path.rpartition(".gguf")[0].rpartition(".")[2] for request in server.file_requests]
        assert fetched == ["F16", "Q8_0", "Q4_K_M"]


async def test_what_holds_for_every_file_is_noted_once(home: Path, library: Path) -> None:
    """Files of a hub are measured one after another; heads as short as these run without flash attention."""
    store = Store(library)
    paths = {each.quantization: store.check(each) for each in store.models()}
    files = {f"tiny.{label}.gguf": paths[label].read_bytes() for label in ("F16", "Q8_0", "Q4_K_M")}
    request = CompareRequest(name="me/model", measure="speed", context=256)
    with hub.serve(files) as server:
        environment = {"HF_ENDPOINT": server.url, "NYBBLE_FLASH_ATTENTION": "auto"}
        with Daemon(home, environment) as daemon:
            async with daemon.client() as client:
                *_, done = [event async for event in client.compare(request)]
    assert isinstance(done, ComparisonDone)
    assert sum("without flash attention" in note for note in done.comparison.notes) == 1


async def test_a_file_that_cannot_be_had_is_a_row_and_an_older_one_is_not_dropped(
    home: Path, library: Path
) -> None:
    store = Store(library)
    paths = {each.quantization: store.check(each) for each in store.models()}
    files = {f"tiny.{label}.gguf": paths[label].read_bytes() for label in ("F16", "Q8_0", "Q4_K_M")}
    older = {**files, "tiny.Q8_0.gguf": paths["Q2_K"].read_bytes()}
    request = CompareRequest(name="me/model", measure="quality", compatible=True, chunks=2)
    with hub.serve(older) as server:
        options = HubOptions(endpoint=server.url)
        job = Store(home / "store"), "me/model:Q8_0", None, options, lambda _: None, Event()
        name = (await asyncio.to_thread(pull, *job)).name
    with hub.serve(files) as server, Daemon(home, {"HF_ENDPOINT": server.url}) as daemon:
        server.stated["tiny.Q4_K_M.gguf"] = {"sha256": "0" * 64}
        async with daemon.client() as client:
            *_, done = [event async for event in client.compare(request)]
            assert [each.name for each in await client.models()] == [name], "it was the user's"
    assert isinstance(done, ComparisonDone)
    by_name = {row.name: row for row in done.comparison.variants}
    assert by_name["Q8_0"].quality and not by_name["Q8_0"].problems
    assert "other bytes than it stated" in by_name["Q4_K_M"].problems[0] and by_name["Q4_K_M"].quality is None


async def test_what_a_killed_comparison_fetched_is_gone_with_the_next_and_a_users_pull_stays(
    home: Path, library: Path
) -> None:
    store = Store(library)
    paths = {each.quantization: store.check(each) for each in store.models()}
    files = {f"tiny.{label}.gguf": paths[label].read_bytes() for label in ("F16", "Q8_0")}
    request = CompareRequest(name="me/model", measure="quality", compatible=True, chunks=2)
    with hub.serve(files) as server, Daemon(home, {"HF_ENDPOINT": server.url}) as daemon:
        async with daemon.client() as client:
            with pytest.raises(NybbleError, match="ended without a result"):
                async for event in client.compare(request):
                    if isinstance(event, CompareProgress) and event.phase == "scoring":
                        conductors(daemon)[0].kill()
            assert await client.models() != [], "it had no time to remove anything"
            pulled: list[JobProgress | JobDone] = []
            async for event in client.compare(request.model_copy(update={"chunks": 3})):
                if isinstance(event, CompareProgress) and event.phase == "scoring" and not pulled:
                    (conductor,) = conductors(daemon)
                    conductor.suspend()
                    pulled = [each async for each in client.pull("me/model:Q8_0")]
                    conductor.resume()
            assert isinstance(pulled[-1], JobDone) and pulled[-1].model
            assert [each.name for each in await client.models()] == [pulled[-1].model.name]
    assert [each.name for each in (home / "cache" / "compare").iterdir() if each.is_dir()] == []
