"""Sizes, counts and times as people read them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from runner.cli import human, progress
from runner.cli.answer import describe
from runner.text import in_line
from runner.wire import Loading, Prefilling, Queued, Reloading

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (98_362_432, "98 MB"),
        (999_499_999, "999 MB"),
        (999_600_000, "1.0 GB"),
        (1_234_567_890, "1.2 GB"),
        (5_000_000_000_000, "5.0 TB"),
    ],
)
def test_sizes(size_bytes: int | None, text: str) -> None:
    assert human.size(size_bytes) == text


def test_counts() -> None:
    assert human.count(134_515_008) == "135M"
    assert human.count(7_241_732_096) == "7.2B"
    assert human.count(12) == "12"


@pytest.mark.parametrize(
    ("elapsed", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=1), "1 second ago"),
        (timedelta(minutes=3), "3 minutes ago"),
        (timedelta(days=8), "1 week ago"),
    ],
)
def test_ago(elapsed: timedelta, text: str) -> None:
    assert human.ago(NOW - elapsed, NOW) == text


def test_until() -> None:
    assert human.until(NOW + timedelta(minutes=4, seconds=59), NOW) == "4 minutes from now"
    assert human.until(NOW, NOW) == "now"
    assert human.until(None, NOW) == "forever"


def test_seconds() -> None:
    assert [human.seconds(s) for s in (0.0851, 2.414, 185.9)] == ["85 ms", "2.41 s", "3 min 5 s"]


def test_places_in_a_queue() -> None:
    places = [in_line(position) for position in (None, 1, 2, 3, 4, 11, 12, 21, 112, 1003)]
    assert places[:2] == ["waiting", "next in line"]
    ordinals = [place.removesuffix(" in line") for place in places[2:]]
    assert ordinals == ["2nd", "3rd", "4th", "11th", "12th", "21st", "112th", "1,003rd"]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Queued(position=3), "3rd in line"),
        (Loading(fraction=0.4), "loading the model, 40%"),
        (Reloading(reason="it needs more"), "loading the model again: it needs more"),
        (Prefilling(done_tokens=1200, total_tokens=2000), "reading the prompt, 60% of 2,000 tokens"),
        (Prefilling(done_tokens=0, total_tokens=0), "reading the prompt, 0 tokens"),
    ],
)
def test_what_an_answer_waits_for(event: Queued | Loading | Reloading | Prefilling, text: str) -> None:
    assert describe(event) == text


def test_a_bar_keeps_its_one_line_in_a_narrow_terminal() -> None:
    shown = io.StringIO()
    bar = progress._bar(Console(file=shown, width=72))
    file = "downloading SmolLM2-135M-Instruct.Q4_1.gguf"
    bar.add_task(file, total=98_400_000, completed=55_000_000, is_bytes=True)
    bar.console.print(bar.get_renderable())
    assert shown.getvalue().count("\n") == 1
    assert f"{file} ━" in shown.getvalue() and "55.0/98.4 MB" in shown.getvalue()
