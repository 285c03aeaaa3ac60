"""Sizes, counts and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runner.cli import human

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
