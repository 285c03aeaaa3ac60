"""Sizes, counts and times for people. Sizes are decimal, as Ollama and disk makers count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def size(size_bytes: int | None) -> str:
    """ "98 MB", "1.2 GB"; "-" if unknown."""
    return "-" if size_bytes is None else _scaled(size_bytes, ("B", "kB", "MB", "GB", "TB"), " ")


def count(number: int | None) -> str:
    """ "135M", "7.2B"; "-" if unknown."""
    return "-" if number is None else _scaled(number, ("", "K", "M", "B", "T"), "")


def _scaled(number: int, units: tuple[str, ...], gap: str) -> str:
    value = float(number)
    for unit in units[:-1]:
        # What would be shown as 1000 belongs to the next unit.
        if value < 999.5:
            decimals = 1 if value < 9.95 and value != number else 0
            return f"{value:.{decimals}f}{gap}{unit}"
        value /= 1000
    return f"{value:.1f}{gap}{units[-1]}"


def seconds(duration_s: float) -> str:
    """ "85 ms", "2.41 s", "3 min 5 s"."""
    if duration_s < 1:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 60:
        return f"{duration_s:.2f} s"
    return f"{int(duration_s) // 60} min {int(duration_s) % 60} s"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """ "3 hours ago"; what lies in the future by a clock's error is "just now"."""
    elapsed = _span((now or datetime.now(UTC)) - moment)
    return f"{elapsed} ago" if elapsed else "just now"


def until(moment: datetime | None, now: datetime | None = None) -> str:
    """ "4 minutes from now"; None never comes."""
    if moment is None:
        return "forever"
    left = _span(moment - (now or datetime.now(UTC)))
    return f"{left} from now" if left else "now"


def _span(span: timedelta) -> str:
    """The largest whole unit; empty below a second."""
    total_s = int(span.total_seconds())
    for name, unit_s in (
        ("year", 31_536_000),
        ("month", 2_592_000),
        ("week", 604_800),
        ("day", 86_400),
        ("hour", 3_600),
        ("minute", 60),
        ("second", 1),
    ):
        if total_s >= unit_s:
            number = total_s // unit_s
            return f"{number} {name}{'s' if number > 1 else ''}"
    return ""
