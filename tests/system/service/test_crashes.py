"""What is killed takes only its own with it, and the next command works."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from runner import wire
from runner.client import Client
from runner.errors import DaemonUnreachable, RemoteError
from tests.answers import answer
from tests.daemons import Daemon

ENDLESS = wire.Options(temperature=1.0, seed=1, max_tokens=900)


@pytest.fixture
async def client(daemon: Daemon, tiny_model: Path) -> AsyncIterator[Client]:
    daemon.add_model(tiny_model, "tiny")
    async with daemon.client() as client:
        yield client


def request(model: str = "tiny", options: wire.Options = ENDLESS) -> wire.GenerateRequest:
    return wire.GenerateRequest(model=model, prompt="The list", options=options)


async def first_text(events: AsyncIterator[object]) -> None:
    async for event in events:
        if isinstance(event, wire.TextDelta):
            return
    raise AssertionError("the answer ended before its first text")


async def test_a_killed_worker_fails_its_requests_within_a_second_and_the_next_works(
    client: Client, daemon: Daemon
) -> None:
    events = client.generate(request())
    await first_text(events)
    (loaded,) = await client.loaded()
    assert loaded.pid
    os.kill(loaded.pid, signal.SIGKILL)
    killed = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        async for _ in events:
            pass
    assert time.monotonic() - killed < 1
    assert (caught.value.code, caught.value.status) == ("worker_crashed", 500)
    # No words of before, and the log has it, too.
    assert caught.value.message.endswith("SIGKILL, as when memory runs out")
    daemon.expect(f"[{loaded.pid}] has ended: {caught.value.message}", 5)
    _, done = await answer(client, request(options=wire.Options(max_tokens=4)))
    assert done.usage.completion_tokens == 4


async def test_a_killed_worker_leaves_other_models_alone(
    client: Client, tiny_model: Path, daemon: Daemon
) -> None:
    draft = tiny_model.with_name("nybble-tiny-draft-f16.gguf")
    daemon.add_model(draft, "draft")
    await answer(client, request("draft", wire.Options(max_tokens=1)))
    other = asyncio.create_task(answer(client, request("draft")))
    events = client.generate(request())
    await first_text(events)
    pids = {model.name: model.pid for model in await client.loaded()}
    os.kill(pids["tiny:latest"] or 0, signal.SIGKILL)
    with pytest.raises(RemoteError):
        async for _ in events:
            pass
    text, done = await other
    assert text and done.reason in ("stop", "length")


async def test_a_killed_daemon_leaves_no_process_and_the_next_one_works(
    client: Client, daemon: Daemon, home: Path
) -> None:
    events = client.generate(request())
    await first_text(events)
    children = psutil.Process(daemon.pid).children(recursive=True)
    assert len(children) >= 1
    daemon.kill()
    _, alive = psutil.wait_procs(children, timeout=1)
    # A container's first process may leave the dead unburied.
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    with pytest.raises(DaemonUnreachable, match="broke off its answer"):
        async for _ in events:
            pass
    with Daemon(home) as again:
        async with again.client() as fresh:
            assert [model.name for model in await fresh.models()] == ["tiny:latest"]
            _, done = await answer(fresh, request(options=wire.Options(max_tokens=4)))
            assert done.usage.completion_tokens == 4


async def test_sigterm_drains_then_ends_streams_with_an_error_record(home: Path, tiny_model: Path) -> None:
    with Daemon(home, {"NYBBLE_DRAIN": "200ms"}) as daemon:
        daemon.add_model(tiny_model, "tiny")
        async with daemon.client() as client:
            slow = [client.generate(request()) for _ in range(4)]
            for events in slow:
                await first_text(events)
            daemon.process.terminate()
            for events in slow:
                with pytest.raises(RemoteError) as caught:
                    async for _ in events:
                        pass
                assert caught.value.code == "overloaded"
        assert await asyncio.to_thread(daemon.wait) == 0


async def test_damaged_weights_fail_their_request_only(client: Client, daemon: Daemon) -> None:
    await answer(client, request(options=wire.Options(max_tokens=1)))
    await client.stop("tiny")
    (blob,) = (daemon.paths.store / "blobs").iterdir()
    half = blob.read_bytes()[: blob.stat().st_size // 2]
    # The blob is a hard link to the test's own model, which must stay whole.
    blob.unlink()
    blob.write_bytes(half)
    with pytest.raises(RemoteError) as caught:
        await answer(client, request(options=wire.Options(max_tokens=1)))
    assert caught.value.status == 422
    assert (await client.health()).pid == daemon.pid


async def test_a_prompt_that_no_process_would_read_is_refused_and_ends_nobody_else(client: Client) -> None:
    events = client.generate(request())
    await first_text(events)
    # Six characters of JSON for each.
    huge = wire.GenerateRequest(model="tiny", prompt="\0" * 3_000_000, raw=True)
    with pytest.raises(RemoteError) as caught:
        await answer(client, huge)
    assert (caught.value.code, caught.value.status) == ("invalid_request", 400)
    assert "limit is 16,777,216" in caught.value.message
    assert isinstance([event async for event in events][-1], wire.Done)
