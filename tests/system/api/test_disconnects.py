"""A client that leaves frees its slot, in prefill and in decode, streaming or not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.daemons import Daemon

FREE_S = 2.0
# Without sampling this model repeats itself here, and never stops.
CHAT = {"model": "tiny-chat", "messages": [{"role": "user", "content": "List"}]}
OLLAMA = CHAT | {"options": {"num_predict": 900, "temperature": 0}}
OPENAI = CHAT | {"max_tokens": 900, "temperature": 0}


def busy_slots(client: httpx.Client) -> int:
    return sum(model["busy_slots"] for model in client.get("/nybble/ps").json())


@pytest.fixture
def client(served: Daemon) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, trust_env=False, timeout=60) as client:
        client.post("/api/chat", json={"model": "tiny-chat", "messages": []})
        while busy_slots(client):
            pass
        yield client


def wait_until_busy(client: httpx.Client) -> None:
    while not busy_slots(client):
        pass


def assert_free(client: httpx.Client, within_s: float = FREE_S) -> None:
    left_s = time.monotonic()
    while busy_slots(client):
        assert time.monotonic() - left_s < within_s, "the slot is still busy"


@pytest.mark.parametrize(("path", "body"), [("/api/chat", OLLAMA), ("/v1/chat/completions", OPENAI)])
def test_in_decode_of_a_stream(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    with client.stream("POST", path, json=body | {"stream": True}) as response:
        lines = response.iter_lines()
        for _ in range(6):
            next(lines)
        assert busy_slots(client) == 1
    assert_free(client)


@pytest.mark.parametrize(("path", "body"), [("/api/chat", OLLAMA), ("/v1/chat/completions", OPENAI)])
async def test_in_a_whole_answer(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=client.base_url, trust_env=False, timeout=60) as leaving:
        answer = asyncio.create_task(leaving.post(path, json=body | {"stream": False}))
        await asyncio.to_thread(wait_until_busy, client)
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
    assert_free(client)


def test_in_prefill(client: httpx.Client) -> None:
    """Free at the next step, which is long in prefill: measured against the whole of such a request."""
    options = {"temperature": 0, "ignore_eos": True, "max_tokens": 250}
    body = {"model": "tiny-chat", "prompt": "One " + "word " * 700, "raw": True, "options": options}
    started_s = time.monotonic()
    client.post("/nybble/generate", json=body)
    whole_s = time.monotonic() - started_s
    body["prompt"] = "Two " + "word " * 700
    with client.stream("POST", "/nybble/generate", json=body) as response:
        events = map(json.loads, response.iter_lines())
        prefill = next(event for event in events if event["type"] == "prefill")
        assert prefill["done_tokens"] < prefill["total_tokens"]
    assert_free(client, within_s=0.6 * whole_s)
