"""Files that take the place of others, or go, while somebody may be reading these."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

# Windows refuses it while a file is open, be it to a reader of milliseconds or to what looks for viruses.
_TRIES = 50 if sys.platform == "win32" else 1
_PAUSE_S = 0.02


def replace_file(source: Path, target: Path) -> None:
    """`source`, which nobody has open, takes the place of `target`. Raises OSError."""
    _patiently(lambda: source.replace(target))


def remove_file(path: Path) -> None:
    """If it is there. Raises OSError."""
    _patiently(lambda: path.unlink(missing_ok=True))


def _patiently(act: Callable[[], object]) -> None:
    """For a second on Windows; in the end it fails as the system says."""
    for _ in range(_TRIES - 1):
        try:
            act()
            return
        except PermissionError:
            time.sleep(_PAUSE_S)
    act()
