"""Choosing and pulling models; the first start; a daemon that goes and comes back."""

from __future__ import annotations

from runner import wire
from tests.fakes.daemon import FakeDaemon, Gate, answer, error, model
from tests.system.tui.screen import desk_of, say, shows, started, text, type_in, until

_QWEN = "hf.co/bartowski/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M"


def _half(total_bytes: int) -> wire.JobProgress:
    return wire.JobProgress(phase="downloading", completed_bytes=total_bytes // 2, total_bytes=total_bytes)


async def test_the_picker_finds_uses_and_pulls(fake_daemon: FakeDaemon) -> None:
    gate = Gate()
    fake_daemon.models += [model("gemma3:270m"), model(_QWEN)]
    fake_daemon.replies.append(answer("Hi"))
    fake_daemon.pulls.append([_half(300_000_000), gate, wire.JobDone(model=model("llama3.2:1b"))])
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+t", "down", "escape")
        assert desk_of(pilot).state.model == "smollm2:135m"
        await pilot.press("ctrl+t")
        await type_in(pilot, "qwn")
        await until(pilot, lambda: "○ gemma3:270m" not in text(pilot))
        await pilot.press("enter")
        await shows(pilot, "Ask Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M anything")
        await say(pilot, "Hello")
        await shows(pilot, "128 tokens")
        await pilot.press("ctrl+t")
        await type_in(pilot, "llama3.2:1b")
        await shows(pilot, "↓ pull llama3.2:1b")
        await pilot.press("enter")
        await shows(pilot, "50 % of 300 MB")
        gate.open()
        await shows(pilot, "Ask llama3.2:1b")
    assert fake_daemon.requests[0].model == _QWEN
    assert fake_daemon.history.list()[0].model == _QWEN


async def test_the_first_start_offers_a_model_and_pulls_it_with_one_key(fake_daemon: FakeDaemon) -> None:
    stuck, gate = Gate(), Gate()
    fake_daemon.models = []
    fake_daemon.pulls += [
        [error("no source could deliver smollm2", "check the network", 502)],
        [_half(98_362_432), stuck],
        [_half(98_362_432), gate, wire.JobDone(model=model("smollm2:135m"))],
    ]
    fake_daemon.replies.append(answer("Hi"))
    async with started(fake_daemon) as pilot:
        assert "There is no model on this machine yet." in text(pilot)
        await pilot.press("enter")
        await shows(pilot, "✕ no source could deliver smollm2")
        assert "hint: check the network" in text(pilot)
        await pilot.press("enter")
        await shows(pilot, "50 % of 98 MB")
        await pilot.press("escape")
        await shows(pilot, "There is no model on this machine yet.")
        await until(pilot, fake_daemon.cancelled.is_set)
        await pilot.press("enter")
        await shows(pilot, "50 % of 98 MB")
        gate.open()
        await shows(pilot, "Ask smollm2:135m anything")
        await type_in(pilot, "Hello")
        await pilot.press("enter")
        await shows(pilot, "128 tokens")


async def test_a_daemon_that_goes_and_comes_back(fake_daemon: FakeDaemon) -> None:
    half = wire.TextDelta(text="Half an", completion_tokens=2)
    fake_daemon.replies += [[half, Gate()], answer("Whole")]
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "Half an")
        fake_daemon.stop()
        await shows(pilot, "daemon not reachable")
        await shows(pilot, "stopped · what had arrived could not be saved")
        assert "Half an" in text(pilot)
        assert "Ctrl+R tries again" in text(pilot)
        fake_daemon.start()
        await pilot.press("ctrl+r")
        await shows(pilot, "Whole")
        assert "not reachable" not in text(pilot)
        fake_daemon.stop()
        await shows(pilot, "daemon not reachable")
        fake_daemon.models = [model("new:1b")]
        fake_daemon.start()
        await shows(pilot, "Ask new:1b")


async def test_a_daemon_that_has_ended_is_started_again_on_request(fake_daemon: FakeDaemon) -> None:
    async def start_again() -> str:
        fake_daemon.start()
        return fake_daemon.address

    fake_daemon.replies.append(answer("Whole"))
    async with started(fake_daemon) as pilot:
        desk_of(pilot).find_daemon = start_again
        fake_daemon.stop()
        await shows(pilot, "daemon not reachable")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "not reachable" not in text(pilot))
        await say(pilot, "Tell me")
        await shows(pilot, "Whole")
        assert "not reachable" not in text(pilot)


async def test_what_another_program_pulls_is_noticed(fake_daemon: FakeDaemon) -> None:
    fake_daemon.models = []
    async with started(fake_daemon) as pilot:
        await shows(pilot, "There is no model on this machine yet.")
        fake_daemon.models = [model("new:1b")]
        await shows(pilot, "Ask new:1b anything")
        assert "There is no model" not in text(pilot)
