"""One streamed completion over a plain socket: when each piece arrived. As little work as possible, since the
client shares the machine with what it measures."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_SAMPLING = {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "seed": 1, "ignore_eos": True}
_UNDER_WAY_PIECES = 20


@dataclass(slots=True)
class Timed:
    """Readings of one clock in seconds: when the request left, and when each piece of text came."""

    sent_s: float
    pieces_s: list[float] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def ttft_s(self) -> float:
        return self.pieces_s[0] - self.sent_s

    @property
    def gaps_s(self) -> list[float]:
        return [b - a for a, b in zip(self.pieces_s, self.pieces_s[1:], strict=False)]

    @property
    def decode_tps(self) -> float:
        """Tokens a second after the first."""
        return float((self.usage["completion_tokens"] - 1) / (self.pieces_s[-1] - self.pieces_s[0]))


async def complete(
    address: str, model: str, prompt: str, tokens: int, under_way: asyncio.Event | None = None, **more: Any
) -> Timed:
    """Continue `prompt` by `tokens` tokens through `/v1/completions`, which nybble and llama-server
    both have. `under_way` is set with the 20th piece. Raises RuntimeError with the answer if it is no
    stream."""
    where = urlsplit(address)
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "stream": True, **_SAMPLING, **more}
    data = json.dumps(body | {"stream_options": {"include_usage": True}}).encode()
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=2**22)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
    timed = Timed(time.perf_counter())
    writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
    answer = []
    async for line in reader:
        now = time.perf_counter()
        if not line.startswith(b"data: {"):
            answer.append(line)
            continue
        record = json.loads(line[6:])
        if any(choice.get("text") for choice in record.get("choices", ())):
            timed.pieces_s.append(now)
            if under_way and len(timed.pieces_s) == _UNDER_WAY_PIECES:
                under_way.set()
        if record.get("usage"):
            timed.usage = record["usage"]
    writer.close()
    if not timed.usage:
        raise RuntimeError(b"".join(answer).decode(errors="replace"))
    return timed


def words(count: int, seed: int) -> str:
    """English-like text of `count` words, some 2.2 tokens each, that no other seed begins with."""
    stems = ["river", "stone", "garden", "letter", "winter", "window", "music", "market", "forest", "silver"]
    ends = ["", "s", " and", " of the", " in a", ",", " that was", ".", " with", " near the"]
    state, picked = seed * 7919 + 17, []
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        picked.append(stems[state // 65536 % len(stems)] + ends[state // 1024 % len(ends)])
    return f"Story {seed}. " + " ".join(picked)
