"""How the screens look, as pictures at a pinned size. `pytest --snapshot-update` accepts a change."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from runner import wire
from tests.fakes.daemon import FakeDaemon, Step, done, error, loaded, model
from tests.system.tui.screen import application, desk_of, hold_still, ready, say, shows, started, until

Compare = Callable[..., bool]
Steps = Callable[[Pilot[None]], Awaitable[None]]

_NARROW = (80, 24)
_WIDE = (100, 30)
_QWEN = "hf.co/bartowski/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M"
_SKY = """\
Sunlight holds all colours. On its way through the air it meets molecules that are much smaller than its
wavelength, and these scatter **blue light far more than red**: by the fourth power of the frequency.

| colour | wavelength | scattered |
|---|---|---|
| red | 700 nm | 1 × |
| blue | 450 nm | 5.9 × |

So blue reaches your eye from everywhere:

```python
ratio = (700 / 450) ** 4
```
"""


def _after(steps: Steps) -> Steps:
    """Runs `steps` once the app has started, and stops the cursor for the picture."""

    async def run(pilot: Pilot[None]) -> None:
        hold_still(pilot)
        await ready(pilot)
        await steps(pilot)
        hold_still(pilot)
        await pilot.pause()

    return run


def _long_chats(daemon: FakeDaemon) -> None:
    titles = ["Trip plan", "Rust borrow help", "Why do two tokenizers give different counts?"]
    for title in titles:
        daemon.history.create(wire.SessionCreate(title=title))


def test_first_start(fake_daemon: FakeDaemon, snap_compare: Compare) -> None:
    fake_daemon.models = []

    async def nothing(pilot: Pilot[None]) -> None:
        await shows(pilot, "There is no model")

    assert snap_compare(application(fake_daemon), run_before=_after(nothing), terminal_size=_NARROW)


def test_before_the_first_word(fake_daemon: FakeDaemon, snap_compare: Compare) -> None:
    _long_chats(fake_daemon)

    async def nothing(pilot: Pilot[None]) -> None:
        await shows(pilot, "Trip plan")

    assert snap_compare(application(fake_daemon), run_before=_after(nothing), terminal_size=_WIDE)


def test_a_failed_turn(fake_daemon: FakeDaemon, snap_compare: Compare) -> None:
    script: list[Step] = [wire.TextDelta(text="Sunlight holds all", completion_tokens=4)]
    script.append(
        error("the worker of smollm2:135m ended: killed by signal 9", "`nybble logs` shows its last words")
    )
    fake_daemon.replies.append(script)

    async def ask(pilot: Pilot[None]) -> None:
        await say(pilot, "Why is the sky blue?")
        await shows(pilot, "hint:")
        await until(pilot, lambda: not any(worker.group == "turn" for worker in pilot.app.workers))

    assert snap_compare(application(fake_daemon), run_before=_after(ask), terminal_size=_NARROW)


def test_choosing_a_model(fake_daemon: FakeDaemon, snap_compare: Compare) -> None:
    fake_daemon.models += [
        model("gemma3:270m", has_chat_template=False, size_bytes=241_000_000),
        model(_QWEN),
    ]
    fake_daemon.loaded = [loaded("smollm2:135m")]

    async def search(pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+t", "m")
        await shows(pilot, "↓ pull m")

    assert snap_compare(application(fake_daemon), run_before=_after(search), terminal_size=_WIDE)


def test_help(fake_daemon: FakeDaemon, snap_compare: Compare) -> None:
    async def help(pilot: Pilot[None]) -> None:
        await pilot.press("f1")
        await shows(pilot, "Everywhere")

    assert snap_compare(application(fake_daemon), run_before=_after(help), terminal_size=_WIDE)


def test_deleting_a_chat_in_a_narrow_terminal(fake_daemon: FakeDaemon, snap_compare: Compare) -> None:
    _long_chats(fake_daemon)

    async def delete(pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+l", "d")
        await shows(pilot, "Delete “Why do two")

    assert snap_compare(application(fake_daemon), run_before=_after(delete), terminal_size=_NARROW)


def test_a_lost_daemon(fake_daemon: FakeDaemon, snap_compare: Compare) -> None:
    async def lose(pilot: Pilot[None]) -> None:
        # The address has another port each time.
        lost = wire.ErrorBody(
            message="the nybble daemon at http://127.0.0.1:11444 does not answer",
            hint="`nybble serve` starts it",
            code="daemon_unreachable",
            status=503,
        )
        desk = desk_of(pilot)
        desk.change(replace(desk.state, lost=lost))

    assert snap_compare(application(fake_daemon), run_before=_after(lose), terminal_size=_NARROW)


async def test_the_picture_in_the_readme(fake_daemon: FakeDaemon, request: pytest.FixtureRequest) -> None:
    _long_chats(fake_daemon)
    fake_daemon.loaded = [loaded("smollm2:135m")]
    fake_daemon.replies.append([wire.TextDelta(text=_SKY, completion_tokens=1), done(128)])
    async with started(fake_daemon, size=(110, 32)) as pilot:
        await say(pilot, "Why is the sky blue?")
        await shows(pilot, "46.2 tok/s · context")
        await until(pilot, lambda: not any(worker.group == "turn" for worker in pilot.app.workers))
        hold_still(pilot)
        await pilot.pause()
        picture = _without_web_fonts(pilot.app.export_screenshot())
    path = Path(__file__).parents[3] / "docs" / "chat.svg"
    if request.config.getoption("update_snapshots"):
        path.write_text(picture, "utf-8")
    assert path.read_text("utf-8") == picture, "stale: run pytest with --snapshot-update"


def _without_web_fonts(svg: str) -> str:
    """The picture loads nothing from elsewhere: it is set in the reader's own monospaced font."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
