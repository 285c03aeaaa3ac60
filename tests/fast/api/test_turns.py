"""What one request gives the loop to do, so that others have their turns: counted, for time says nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from pydantic_core import from_json

from runner import wire
from tests.fast.api.scripted import ScriptedService, serving

PYTHONS_PARSER = json.JSONDecoder.raw_decode.__code__
VECTORS = 4096
INPUTS = {"model": "encoder", "input": ["a"], "inputs": ["a"]}


class Embedding(ScriptedService):
    async def embed(self, request: wire.EmbedRequest) -> wire.Embeddings:
        return wire.Embeddings(model="encoder", vectors=[[0.5, 0.25]] * VECTORS, token_counts=[1] * VECTORS)


@contextmanager
def parses() -> Iterator[list[str]]:
    """Grows by one whenever this thread parses JSON."""
    seen: list[str] = []

    def look(frame: FrameType, event: str, called: Any) -> None:
        is_ours = event == "c_call" and called is from_json
        if is_ours or (event == "call" and frame.f_code is PYTHONS_PARSER):
            seen.append(event)

    sys.setprofile(look)
    try:
        yield seen
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages", "/nybble/generate"])
async def test_a_body_is_parsed_once(path: str) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 9}
    service = ScriptedService()
    async with serving(service) as client:
        with parses() as seen:
            assert (await client.post(path, json=body)).status_code == 200
    assert len(service.requests) == len(seen) == 1


@pytest.mark.parametrize(
    ("path", "format_name"),
    [
        ("/api/embed", None),
        ("/v1/embeddings", "float"),
        ("/v1/embeddings", "base64"),
        ("/nybble/embed", None),
    ],
)
async def test_the_loop_turns_while_vectors_are_spelled(path: str, format_name: str | None) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving(Embedding()) as client:
        counting = asyncio.create_task(count())
        async with client.stream("POST", path, json=INPUTS | {"encoding_format": format_name}) as answer:
            counting.cancel()
            found = json.loads(await answer.aread())
    assert turns > VECTORS / 64
    vectors = found.get("embeddings") or found.get("vectors") or [each["embedding"] for each in found["data"]]
    assert vectors == ["AAAAPwAAgD4=" if format_name == "base64" else [0.5, 0.25]] * VECTORS
