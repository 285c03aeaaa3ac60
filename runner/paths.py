"""Where nybble keeps files. `NYBBLE_HOME` moves everything under one folder, else platformdirs decides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True, slots=True)
class Paths:
    """Absolute paths; nothing exists until something is written.

    `runtime` lies beside the store and not in the login session's folder, since the daemon belongs to the
    store and must be found from every session of the user (desktop, ssh, cron).
    """

    config_file: Path
    store: Path
    cache: Path
    state: Path
    runtime: Path

    @property
    def log_file(self) -> Path:
        return self.state / "daemon.log"

    @property
    def output_file(self) -> Path:
        """What a daemon in the background writes to stdout and stderr: only what its log could not take."""
        return self.state / "daemon.out"

    @property
    def history_file(self) -> Path:
        """Chat sessions."""
        return self.state / "history.sqlite3"

    @property
    def prompt_history_file(self) -> Path:
        """Lines typed at the prompt of `nybble run`."""
        return self.state / "prompt-history"

    @property
    def theme_file(self) -> Path:
        """Name of the theme that was chosen in the terminal app."""
        return self.state / "theme"

    @property
    def bench_file(self) -> Path:
        """Results of `nybble bench`."""
        return self.state / "bench.jsonl"

    @property
    def evidence_file(self) -> Path:
        """What comparisons measured."""
        return self.state / "evidence.sqlite3"

    @property
    def lock_file(self) -> Path:
        return self.runtime / "daemon.lock"

    @property
    def daemon_file(self) -> Path:
        return self.runtime / "daemon.json"


def home(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder of `NYBBLE_HOME`, absolute; None if it is not set."""
    folder = environment.get("NYBBLE_HOME")
    return Path(folder).expanduser().absolute() if folder else None


def resolve(environment: Mapping[str, str] = os.environ) -> Paths:
    if root := home(environment):
        return Paths(root / "config.toml", root / "store", root / "cache", root / "state", root / "runtime")
    dirs = platformdirs.PlatformDirs("nybble", appauthor=False)
    data = dirs.user_data_path
    return Paths(
        config_file=dirs.user_config_path / "config.toml",
        store=data / "store",
        cache=dirs.user_cache_path,
        state=dirs.user_state_path,
        runtime=data / "runtime",
    )


def make_private(folder: Path) -> None:
    """Makes `folder` and the parents it lacks; only this user may look into what is made."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def make_private_file(file: Path) -> None:
    """For this user only, before a library would make it for everyone; no link leads elsewhere."""
    make_private(file.parent)
    no_follow: int = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | no_follow, 0o600))
    file.chmod(0o600)
