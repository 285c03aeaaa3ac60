"""How values of settings are read, from text or TOML. Each raises ValueError saying what it expects."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

_Value = TypeVar("_Value")

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# As disks count and as memory does.
_UNIT_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNIT_BYTES |= {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNIT_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expects a text")
    return value.strip()


def integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        spelled = str(value).strip()
        is_whole = isinstance(value, (int, str)) and re.fullmatch(r"[+-]?\d{1,18}", spelled)
        if is_whole and low <= int(spelled) <= high:
            return int(spelled)
        raise ValueError(f"expects a whole number from {low} to {high}")

    return read


def choice(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        spelled = value.strip().lower() if isinstance(value, str) else ""
        if spelled in words:
            return spelled
        close = difflib.get_close_matches(spelled, words, 1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"expects one of {', '.join(words)}{meant}")

    return read


def or_named(words: Mapping[str, _Value], read: Callable[[Any], _Value]) -> Callable[[Any], _Value]:
    """`read`, or the value that one of `words` stands for."""

    def read_or_named(value: Any) -> _Value:
        spelled = value.strip().lower() if isinstance(value, str) else ""
        if spelled in words:
            return words[spelled]
        try:
            return read(value)
        except ValueError as error:
            alternatives = ", ".join(f'"{word}"' for word in words)
            raise ValueError(f"{error}, or {alternatives}") from None

    return read_or_named


def or_none(read: Callable[[Any], _Value], word: str = "auto") -> Callable[[Any], _Value | None]:
    """`read`, or None for `word`."""
    return or_named({word: None}, read)


def boolean(value: Any) -> bool:
    spelled = str(value).strip().lower()
    if spelled in {"1", "true", "yes", "on"}:
        return True
    if spelled in {"0", "false", "no", "off"}:
        return False
    raise ValueError("expects true or false")


def duration(value: Any) -> float:
    """Seconds of "5m", "1h30m", "500ms", "90" or a number; negative stays negative."""
    spelled = "" if isinstance(value, bool) else str(value).strip().lower()
    if re.fullmatch(r"-?\d{1,10}(\.\d{1,9})?", spelled):
        return float(spelled)
    if re.fullmatch(r"-?(\d{1,10}(\.\d{1,9})?(ms|[smhd]))+", spelled):
        parts = re.findall(r"([\d.]+)(ms|[smhd])", spelled)
        total_s = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
        return -total_s if spelled.startswith("-") else total_s
    raise ValueError('expects a duration like "30s", "5m" or "1h30m"')


def duration_from_zero(value: Any) -> float:
    if (seconds := duration(value)) < 0:
        raise ValueError("expects a duration of 0 or more")
    return seconds


def size(value: Any) -> int:
    """Bytes of "4GiB", "500 MB", "1.5GB" or a number."""
    spelled = "" if isinstance(value, bool) else str(value).strip().lower()
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?) ?([a-z]*)", spelled)
    if match and match[2] in _UNIT_BYTES:
        return int(Decimal(match[1]) * _UNIT_BYTES[match[2]])
    raise ValueError('expects a size like "4GiB", "500MB" or a number of bytes')


def spell_size(size_bytes: int) -> str:
    """What `size` reads as the same number."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _UNIT_BYTES[unit.lower()] == 0:
            return f"{size_bytes // _UNIT_BYTES[unit.lower()]}{unit}"
    return str(size_bytes)


def url(value: Any) -> str:
    if not re.match(r"https?://[^\s/]", spelled := text(value)):
        raise ValueError("expects an address that starts with http:// or https://")
    return spelled.rstrip("/")
