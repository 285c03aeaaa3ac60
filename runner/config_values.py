"""How values of settings are read, from text or TOML. Each raises ValueError saying what it expects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


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


def or_auto(read: Callable[[Any], int]) -> Callable[[Any], int | None]:
    """`read`, or None for "auto"."""

    def read_or_auto(value: Any) -> int | None:
        if isinstance(value, str) and value.strip().lower() == "auto":
            return None
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "auto"') from None

    return read_or_auto


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


PREFILL_STEP_S = {"smooth": 0.25, "balanced": 0.5, "fast": 0.0}
"""Longest step while somebody generates; 0 is as long as a full batch takes."""


def prefill(value: Any) -> float:
    spelled = str(value).strip().lower()
    if spelled in PREFILL_STEP_S:
        return PREFILL_STEP_S[spelled]
    try:
        return duration_from_zero(value)
    except ValueError:
        raise ValueError("expects smooth, balanced, fast, or a duration like 300ms") from None


def url(value: Any) -> str:
    if not re.match(r"https?://[^\s/]", spelled := text(value)):
        raise ValueError("expects an address that starts with http:// or https://")
    return spelled.rstrip("/")
