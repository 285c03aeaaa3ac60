"""What a daemon computed is not computed again by the next one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runner import wire
from tests.answers import answer
from tests.daemons import Daemon

PROMPT = "The options are: " + ", ".join(f"option{number}" for number in range(100))


def ask(daemon: Daemon, prompt: str, keep_alive_s: float | None = None) -> tuple[str, wire.Usage]:
    async def asked() -> tuple[str, wire.Done]:
        options = wire.Options(temperature=0, max_tokens=16, ignore_eos=True)
        request = wire.GenerateRequest(
            model="tiny", prompt=prompt, raw=True, options=options, keep_alive_s=keep_alive_s
        )
        async with daemon.client() as client:
            return await answer(client, request)

    text, done = asyncio.run(asked())
    return text, done.usage


def test_a_prompt_is_remembered_over_unloading_and_a_restart(home: Path, tiny_model: Path) -> None:
    with Daemon(home) as daemon:
        daemon.add_model(tiny_model, "tiny")
        text, first = ask(daemon, PROMPT, keep_alive_s=0)
        again, unloaded = ask(daemon, PROMPT)
    with Daemon(home) as daemon:
        last, restarted = ask(daemon, PROMPT)
    assert first.cached_tokens == 0 and first.prompt_tokens > 256
    assert unloaded.cached_tokens == restarted.cached_tokens == first.prompt_tokens - 1
    assert text == again == last


def test_the_disk_cache_can_be_turned_off(home: Path, tiny_model: Path) -> None:
    for number in range(2):
        with Daemon(home, {"NYBBLE_PREFIX_DISK": "0"}) as daemon:
            if number == 0:
                daemon.add_model(tiny_model, "tiny")
            assert ask(daemon, PROMPT)[1].cached_tokens == 0
    assert not list(home.rglob("*.kv"))
