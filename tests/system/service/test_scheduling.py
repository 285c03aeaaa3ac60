"""Several models, several requests: real workers, a real daemon."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from runner import wire
from runner.client import Client
from runner.errors import RemoteError
from tests.answers import answer
from tests.daemons import Daemon

SHORT = wire.Options(temperature=0, max_tokens=4)
ENDLESS = wire.Options(temperature=1, seed=1, max_tokens=900, ignore_eos=True)
Start = Callable[..., contextlib.AbstractAsyncContextManager[tuple[Daemon, Client]]]


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Start:
    """A daemon with settings and with the models `one` and `two`, which are different weights."""

    @contextlib.asynccontextmanager
    async def start(
        config: str = "", environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[Daemon, Client]]:
        with Daemon(configured(tmp_path_factory.mktemp("home"), config), environment) as daemon:
            daemon.add_model(tiny_model, "one")
            daemon.add_model(tiny_model.with_name("nybble-tiny-draft-f16.gguf"), "two")
            async with daemon.client() as client:
                yield daemon, client

    return start


def configured(home: Path, config: str) -> Path:
    (home / "config.toml").write_text(config)
    return home


def request(
    model: str, options: wire.Options = SHORT, keep_alive_s: float | None = None
) -> wire.GenerateRequest:
    return wire.GenerateRequest(model=model, prompt="The list", options=options, keep_alive_s=keep_alive_s)


async def until_text(events: AsyncGenerator[object]) -> list[object]:
    """Events up to the first text."""
    seen: list[object] = []
    async for event in events:
        seen.append(event)
        if isinstance(event, wire.TextDelta):
            return seen
    raise AssertionError(f"the answer ended before its first text: {seen}")


async def loaded(client: Client) -> dict[str, wire.LoadedModel]:
    return {model.name: model for model in await client.loaded()}


async def loading_worker(daemon: Daemon, known: set[int]) -> psutil.Process:
    """The process that the daemon has just started to load a model."""
    while True:
        for process in psutil.Process(daemon.pid).children():
            with contextlib.suppress(psutil.Error):
                if process.pid not in known and "runner.worker" in process.cmdline():
                    return process
        await asyncio.sleep(0)


async def test_a_load_that_takes_long_stops_nobody_else(started: Start) -> None:
    async with started() as (daemon, client):
        stream = client.generate(request("one", ENDLESS))
        await until_text(stream)
        known = {child.pid for child in psutil.Process(daemon.pid).children()}
        other = asyncio.create_task(answer(client, request("two")))
        worker = await loading_worker(daemon, known)
        worker.suspend()
        for _ in range(20):
            await until_text(stream)
        _, done = await answer(client, request("one"))
        assert done.usage.completion_tokens == 4
        assert not other.done() and (await loaded(client))["two:latest"].state == "loading"
        worker.resume()
        _, done = await other
        assert done.usage.completion_tokens == 4
        await stream.aclose()


async def test_two_names_of_the_same_weights_with_different_settings_are_two_loads(started: Start) -> None:
    async with started('[models.plain]\nflash_attention = "off"\n') as (_, client):
        await client.copy("one", "plain")
        for name in ("one", "plain", "one"):
            await answer(client, request(name))
        one, plain = (await loaded(client)).values()
        assert one.digest == plain.digest and one.pid != plain.pid
        assert (one.variant, plain.variant) == ("flash attention on", "flash attention off")


async def test_a_larger_context_reloads_once_and_says_so_and_a_smaller_one_never(started: Start) -> None:
    async with started(environment={"NYBBLE_CONTEXT_LENGTH": "256"}) as (_, client):
        running = client.generate(request("one", ENDLESS.model_copy(update={"max_tokens": 100})))
        await until_text(running)
        large = client.generate(request("one", SHORT.model_copy(update={"context_length": 1000})))
        seen = await until_text(large)
        assert wire.Reloading(reason="the request needs a context of 1000 tokens, 256 are loaded") in seen
        ends = [event async for event in running if isinstance(event, wire.Done)]
        await large.aclose()
        assert ends[0].usage.completion_tokens == 100, "what ran was not cut short"
        first = (await loaded(client))["one:latest"]
        for context_length in (None, 1000, 300):
            options = SHORT.model_copy(update={"context_length": context_length})
            await answer(client, request("one", options))
        again = (await loaded(client))["one:latest"]
        assert (again.pid, again.context_length) == (first.pid, 1000)


async def test_the_queue_has_places_and_an_end(started: Start) -> None:
    settings = {"NYBBLE_NUM_PARALLEL": "1", "NYBBLE_MAX_QUEUE": "2"}
    async with started(environment=settings) as (daemon, client):
        running = client.generate(request("one", ENDLESS))
        await until_text(running)
        second, third = client.generate(request("one")), client.generate(request("one"))
        assert await anext(second) == wire.Queued(position=1)
        assert await anext(third) == wire.Queued(position=2)
        assert (await loaded(client))["one:latest"].waiting == 2
        async with httpx.AsyncClient(base_url=daemon.address) as http:
            body = {"model": "one", "prompt": "x"}
            full = await http.post("/api/generate", json=body)
        assert full.status_code == 503 and int(full.headers["Retry-After"]) >= 1
        assert "2 requests are waiting already, and max_queue is 2" in full.json()["error"]
        await running.aclose()
        assert wire.Queued(position=1) in await until_text(third)
        await until_text(second)
        await third.aclose()
        await second.aclose()


async def test_a_budget_holds_by_what_workers_really_take(started: Start) -> None:
    async with started() as (_, client):
        await answer(client, request("one"))
        taken = (await loaded(client))["one:latest"].memory_bytes
    assert taken
    async with started(f"memory_budget = {taken * 3 // 2}") as (_, client):
        await answer(client, request("one"))
        await answer(client, request("two"))
        assert [model.name for model in await client.loaded() if model.state == "ready"] == ["two:latest"]


async def test_a_model_that_dies_at_each_load_is_refused_for_a_while(started: Start) -> None:
    async with started() as (daemon, client):
        for deaths in (2, 3):
            for _ in range(deaths):
                assert await death_while_loading(daemon, client) == "worker_crashed"
            if deaths == 2:
                # An answer: the count begins anew.
                await answer(client, request("one", keep_alive_s=0))
        with pytest.raises(RemoteError) as caught:
            await answer(client, request("one"))
        assert (caught.value.code, caught.value.status) == ("keeps_crashing", 503)
        assert "3 deaths without an answer; the last: the process of one:latest" in caught.value.message
        _, done = await answer(client, request("two"))
        assert done.usage.completion_tokens == 4


async def death_while_loading(daemon: Daemon, client: Client) -> str:
    """The code of the error that a request gets."""
    known = {child.pid for child in psutil.Process(daemon.pid).children()}
    asking = asyncio.create_task(answer(client, request("one")))
    worker = await loading_worker(daemon, known)
    worker.kill()
    with pytest.raises(RemoteError) as caught:
        await asking
    return caught.value.code
