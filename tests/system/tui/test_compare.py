"""The compare screen: choosing, running, going elsewhere, stopping, failing, opening earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from textual.pilot import Pilot

from runner.compare.export import FORMATS, render
from runner.wire.compare import CompareRequest, Comparison, ComparisonDone, Effort, Intent
from tests.comparisons import NAMES, beginning, comparison, example, finished, infos, measured, middle
from tests.fakes.daemon import FakeDaemon, Gate, Step, error, model
from tests.system.tui.screen import application, desk_of, ready, shows, started, text, type_in, until
from tests.system.tui.test_hostile import ESCAPES, MARKUP
from tui.comparing import Comparing, Setup, offers
from tui.exporting import Format as Ending
from tui.exporting import proposed, wrong
from tui.knobs import CONTEXT, EFFORT, INTENT, KINDS, MADE, MEASURE, SCORED_AS, TEXT, VARY, Knob

_HERE = [
    model("llama3:8b", size_bytes=4_920_000_000),
    model("smollm2:135m"),
    model("llama3:8b-instruct", size_bytes=8_540_000_000),
]


@pytest.fixture
def daemon(fake_daemon: FakeDaemon) -> FakeDaemon:
    fake_daemon.models = list(_HERE)
    return fake_daemon


def test_what_is_offered_and_what_is_asked_for() -> None:
    offered = offers("llama3:8b", tuple(_HERE))
    assert [offer.quant for offer in offered[:4]] == ["8b", "8b-instruct", "F16", "Q8_0"]
    assert offered[0].model is _HERE[0] and offered[2].model is None
    setup = EFFORT.turned(INTENT.turned(Setup(), 1), -2).toggled("Q8_0").toggled("8b").toggled("Q8_0")
    request = setup.request("llama3:8b", "mine")
    assert (request.quants, request.effort, request.intent) == (["8b"], "standard", "fast")
    assert (request.text, request.reference, request.vary) == ("mine", None, {})
    assert setup.with_model("smollm2:135m").request("smollm2:135m").quants is None
    varied = VARY.put(setup, "kv_type=f16,q8_0 threads=1").request("llama3:8b")
    assert varied.quants is None and varied.vary == {"kv_type": ["f16", "q8_0"], "threads": ["1"]}
    assert VARY.put(VARY.turned(setup, 1), "") == setup
    exact = KINDS.put(MADE.turned(SCORED_AS.turned(EFFORT.put(setup, "3"), 1), 1), "code, German")
    asked = exact.request("llama3:8b")
    assert (asked.chunks, asked.effort, asked.compatible, asked.keep_made) == (3, "quick", True, True)
    assert asked.domains == ["code", "German"]
    usual = Setup().request("llama3:8b")
    assert usual == CompareRequest(name="llama3:8b")
    offered_values = {knob.field: tuple(knob.meanings) for knob in (EFFORT, INTENT, MEASURE)}
    known = {"effort": get_args(Effort), "intent": get_args(Intent), "measure": ("all", "quality", "speed")}
    assert offered_values == known and Comparing().begun(Setup()).closed().run is not None


@pytest.mark.parametrize(
    "knob, wrong, right",
    [(EFFORT, ("0", "-1", "many", "1.5"), "3"), (EFFORT, ("shallow",), "deep"),
     (CONTEXT, ("255", "many", "٣٠٠", "9" * 5000), "8192"), (VARY, ("kv_type", "=f16", "a=,b"), "a=b c=d"),
     (TEXT, ("/no/such/file", "~nobody-here/file", "x" * 300), __file__)],
    ids=["chunks", "depth", "context", "vary", "text"],
)  # fmt: skip
def test_what_is_typed_is_checked(knob: Knob, wrong: tuple[str, ...], right: str) -> None:
    assert knob.wrong is not None and knob.wrong(right) is None
    assert all(knob.wrong(each) for each in wrong)


def test_a_file_to_save_to_may_be_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert wrong("~/card.md") is None
    assert (wrong("~nobody-here/card.md"), wrong("card")) == ("there is no such folder", wrong("card.txt"))
    assert wrong("x" * 300 + "/card.md") == "there is no such folder"
    assert wrong("x" * 300 + ".md") is None, "what cannot be written is told when it is tried"


def test_a_saved_comparison_can_be_done_again() -> None:
    again = Setup.of(comparison()).request("llama3:8b")
    assert again.quants == sorted(NAMES) and again.reference == "F16" and again.context == 8192
    ways = [measured("Q8_0").model_copy(update={"settings": {"threads": each}}) for each in "12"]
    settings = Setup.of(comparison().model_copy(update={"variants": [measured("Q8_0"), *ways]}))
    assert settings.vary == "threads=1,2" and settings.request("m").reference is None


async def test_a_comparison_is_chosen_run_and_left_to_itself(daemon: FakeDaemon) -> None:
    first, second = Gate(), Gate()
    script: list[Step] = [*beginning(), first, *middle(), second, *finished()[-1:]]
    daemon.comparisons.append(script)
    async with started(daemon, size=(120, 45)) as pilot:
        await pilot.press("f4")
        await shows(pilot, "● quick   ○ standard   ○ deep")
        assert "those on this machine" in text(pilot) and "r Run" in text(pilot)
        await pilot.press("j", "right", "j", "enter", *"jjjjjjjjj", "space", "j", "j", "space")
        await shows(pilot, "2 chosen")
        assert "○ quick   ● standard   ○ deep" in text(pilot)
        await pilot.press("r")
        await shows(pilot, "0.0108 ± 0.0016")
        assert "scoring · 4 of 16 · about 1 min 35 s left" in text(pilot) and "esc Stop" in text(pilot)
        first.open()
        await shows(pilot, "0.0108 ± 0.0008")
        await shows(pilot, "╭ G IQ4_XS")
        await pilot.press("f2")
        await shows(pilot, "Ask llama3:8b anything")
        second.open()
        await shows(pilot, "The comparison of llama3:8b is done: F4 shows it.")
        await pilot.press("f4")
        await shows(pilot, "★ Q5_K_M")
        assert "★   D Q5_K_M" in text(pilot) and "the same choice in 84 % of" in text(pilot)
        await pilot.press("n")
        await shows(pilot, "2 chosen")
    (asked,) = daemon.compared
    assert (asked.name, asked.quants) == ("llama3:8b", ["F16", "llama3:8b"])
    assert (asked.effort, asked.intent) == ("standard", "fast")


async def test_escape_stops_and_the_same_goes_on(daemon: FakeDaemon) -> None:
    daemon.comparisons.extend([[*beginning(), Gate()], finished()])
    async with started(daemon) as pilot:
        await pilot.press("f4", "r")
        await shows(pilot, "scoring · 4 of 16")
        await pilot.press("escape")
        await shows(pilot, "Stopped. r goes on from here")
        await until(pilot, daemon.cancelled.is_set)
        assert "Q5_K_M" in text(pilot)
        await pilot.press("r")
        await shows(pilot, "★ Q5_K_M")
    assert daemon.compared[0] == daemon.compared[1]


async def test_an_earlier_comparison_is_opened_while_another_runs(daemon: FakeDaemon) -> None:
    daemon.infos, daemon.kept = infos(), [comparison(3)]
    daemon.comparisons.append([*beginning(), Gate()])
    async with started(daemon) as pilot:
        await pilot.press("f4", "r")
        await shows(pilot, "scoring · 4 of 16")
        await pilot.press("ctrl+l")
        await shows(pilot, "★ Q5_K_M")
        await pilot.press("enter")
        await shows(pilot, "★   D Q5_K_M")
        assert "◐ running" in text(pilot) and "esc Stop" not in text(pilot)
        await pilot.press("n")
        await shows(pilot, "scoring · 4 of 16")
        await pilot.press("ctrl+l", "j", "enter")
        await shows(pilot, "there is no comparison 2")
        assert desk_of(pilot).state.comparing.is_running


async def test_one_variant_in_detail_and_once_more_from_a_saved_one(daemon: FakeDaemon) -> None:
    daemon.infos, daemon.kept = infos(), [example().model_copy(update={"id": 3})]
    daemon.comparisons.append([*beginning(), Gate()])
    async with started(daemon, size=(120, 45)) as pilot:
        await pilot.press("f4", "ctrl+l", "enter")
        await shows(pilot, "memory, GB →")
        await pilot.press("x")
        await shows(pilot, "speed, tok/s →")
        await pilot.press("x")
        await shows(pilot, "size, GB →")
        await pilot.press("G", "enter")
        await shows(pilot, "Q2_K against F16")
        await shows(pilot, "KIND OF TEXT")
        await pilot.press("right")
        await shows(pilot, "1 of 2 · prose · parts after 9 tokens: a harmless tie")
        assert "ranked  “Imagine” 52 %" in text(pilot) and "lockers" in text(pilot)
        await pilot.press("right_square_bracket")
        await shows(pilot, "2 of 2 · math · parts after 4 tokens: a real change")
        await pilot.press("g")
        await shows(pilot, "This is the reference")
        await pilot.press("escape")
        await shows(pilot, "8 chosen")
        await pilot.press("r")
        await shows(pilot, "scoring · 4 of 16")
    (asked,) = daemon.compared
    assert (asked.name, asked.context, asked.quants) == (
        "llama3:8b",
        8192,
        sorted(row.tag or "" for row in example().variants),
    )


async def test_a_text_that_cannot_be_read_is_named(daemon: FakeDaemon, tmp_path: Path) -> None:
    latin = tmp_path / "letter.txt"
    latin.write_bytes(b"caf\xe9")
    async with started(daemon, size=(120, 45)) as pilot:
        await pilot.press("f4", *"jjjjj", "enter")
        await shows(pilot, "A file of text to score")
        await type_in(pilot, str(tmp_path / "nothing"))
        await pilot.press("enter")
        await shows(pilot, "there is no such file")
        await pilot.press("ctrl+u")
        await type_in(pilot, str(latin))
        await pilot.press("enter")
        await until(pilot, lambda: desk_of(pilot).state.comparing.setup.text == str(latin))
        await pilot.press("r")
        await shows(pilot, "hint: the text is a file of UTF-8")
    assert daemon.compared == []


async def test_a_comparison_is_saved_to_a_file(daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.infos, daemon.kept = infos(), [example().model_copy(update={"id": 3})]
    there = tmp_path / "there.md"
    there.write_text("mine")
    async with started(daemon, size=(120, 45)) as pilot:
        await pilot.press("f4", "ctrl+l", "enter")
        await shows(pilot, "e Export")
        await pilot.press("e")
        await shows(pilot, "llama3-8b-3.html")
        for wrong, words in {
            "card.txt": "the ending decides",
            "no/such/folder/card.md": "there is no such folder",
            "there.md": "there is such a file already",
        }.items():
            await pilot.press("ctrl+u")
            await type_in(pilot, str(tmp_path / wrong))
            await pilot.press("enter")
            await shows(pilot, words)
        for ending in ("svg", "md"):
            file, rendered = tmp_path / f"card.{ending}", render(daemon.kept[0], ending)
            await pilot.press("ctrl+u")
            await type_in(pilot, str(file))
            await pilot.press("enter")
            await until(pilot, lambda: file.exists() and file.read_text("utf-8") == rendered)  # noqa: B023
            await shows(pilot, "Wrote")
            await pilot.press("e")
            await shows(pilot, "llama3-8b-3.html")
        await pilot.press("escape", "n")
        await shows(pilot, "8 chosen")
        assert "e Export" not in text(pilot), "nothing to save yet"
    assert there.read_text() == "mine" and get_args(Ending) == FORMATS
    named = comparison().model_copy(update={"model": "../../org/[b]evil\x1b[2J:Q4", "id": 7})
    assert proposed(named) == "b-evil-Q4-7.html"


async def test_a_model_that_is_not_here_can_be_compared(daemon: FakeDaemon) -> None:
    daemon.comparisons.append([error("no quantization of it fits this machine", "try a smaller one", 422)])
    async with started(daemon) as pilot:
        await pilot.press("f4", "ctrl+t")
        await type_in(pilot, "org/big-GGUF")
        await pilot.press("enter")
        await shows(pilot, "big-GGUF")
        await pilot.press("r")
        await shows(pilot, "✕ no quantization of it fits this machine")
        assert "hint: try a smaller one" in text(pilot) and "✕ failed" in text(pilot)
    assert daemon.compared[0].name == "org/big-GGUF"


async def test_hostile_words_stay_words(daemon: FakeDaemon) -> None:
    words = f"{MARKUP}{ESCAPES}"
    fields = {"name": f"Q9{words}", "problems": [words], "is_reference": False}
    broken = measured("Q2_K").model_copy(update=fields)
    found = comparison().recommendation
    assert found is not None
    advice = found.model_copy(update={"choice": f"Q9{words}", "reason": words, "would_change": words})
    update = {"variants": [measured("F16"), broken], "notes": [words], "recommendation": advice}
    hostile: Comparison = comparison().model_copy(update=update)
    info = infos()[0].model_copy(update={"model": words, "choice": words})
    daemon.models = [model(f"evil:{words}")]
    daemon.infos = [info]
    daemon.comparisons.append([ComparisonDone(comparison=hostile)])
    async with started(daemon, size=(140, 50)) as pilot:
        await pilot.press("f4")
        await shows(pilot, "[@click=")
        await pilot.press("r")
        await shows(pilot, f"! Q9{MARKUP}")
        await pilot.press("ctrl+p")
        await shows(pilot, "Go to the list of earlier comparisons")
        assert "owned" not in text(pilot) and "\x1b" not in text(pilot)


_SCRIPTS: dict[str, list[Step]] = {
    "half_way": [*beginning(), *middle(), Gate()],
    "finished": [*finished()],
    "failed": [*beginning(), error("Q2_K has another vocabulary than F16", "leave it out with --quants")],
}


@pytest.mark.parametrize(
    "script, size, words",
    [
        ("half_way", (120, 40), "measuring speed"),
        ("finished", (120, 40), "★ Q5_K_M"),
        ("finished", (80, 24), "★   D Q5_K_M"),
        ("failed", (100, 40), "hint: leave it out"),
    ],
    ids=["half-way", "finished", "narrow", "failed"],
)
def test_pictures_of_a_run(
    daemon: FakeDaemon, snap_compare: Callable[..., bool], script: str, size: tuple[int, int], words: str
) -> None:
    daemon.comparisons.append(_SCRIPTS[script])

    async def run(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await pilot.press("f4", "r")
        await shows(pilot, words)
        await until(pilot, lambda: "Saved" in text(pilot).splitlines()[-1])

    assert snap_compare(application(daemon), run_before=run, terminal_size=size)


@pytest.mark.parametrize("size", [(120, 30), (80, 24)], ids=["wide", "narrow"])
def test_pictures_of_the_setup(
    daemon: FakeDaemon, snap_compare: Callable[..., bool], size: tuple[int, int]
) -> None:
    daemon.infos = infos()

    async def choose(pilot: Pilot[None]) -> None:
        await ready(pilot)
        await pilot.press("f4", *"jjjjjjjjjjj", "space", "j", "j", "space", *"kkkkkkkkkkkk", "right")
        await shows(pilot, "● standard")

    assert snap_compare(application(daemon), run_before=choose, terminal_size=size)
