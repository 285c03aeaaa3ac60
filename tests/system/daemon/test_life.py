"""One daemon per store, through starts, stops, crashes and strangers."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
from filelock import FileLock

from runner import daemon_file, exits
from runner.client import Client
from runner.daemon_file import DaemonRecord
from runner.errors import RemoteError
from runner.wire import Done, GenerateRequest, Options, TextDelta
from tests.commands import finish, nybble, nybble_here, start
from tests.daemons import Daemon


def daemon_pids(home: Path) -> set[int]:
    """Processes that run `serve` on `home`."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("NYBBLE_HOME") == str(home) and "serve" in process.cmdline():
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


async def test_health_says_who_answers(daemon: Daemon) -> None:
    async with daemon.client() as client:
        health = await client.health()
    assert (health.pid, health.address) == (daemon.pid, daemon.address)
    assert health.store == str(daemon.paths.store)


def test_second_daemon_is_refused_at_once_and_names_the_first(daemon: Daemon) -> None:
    elapsed_s = [math.inf]
    # More than once, since other programs may have the processor.
    while min(elapsed_s) > 1 and len(elapsed_s) < 5:
        started_s = time.monotonic()
        second = nybble("serve", "--port", "0")
        elapsed_s.append(time.monotonic() - started_s)
        assert second.code == exits.ALREADY_RUNNING
        assert f"pid {daemon.pid} at {daemon.address}" in second.stderr
        assert "Traceback" not in second.stderr
    assert min(elapsed_s) < 1
    assert daemon.process.poll() is None
    assert nybble("list", "--no-start").code == 0


def test_ten_commands_at_once_start_one_daemon(home: Path) -> None:
    results = [finish(process) for process in [start("list", "--json") for _ in range(10)]]
    assert [(result.code, result.stdout) for result in results] == [(0, "[]\n")] * 10, results
    assert len(daemon_pids(home)) == 1


def test_a_daemon_that_is_about_to_end_is_waited_for(home: Path) -> None:
    """It answers nobody any more, and holds the store still: the first one that is started finds that out."""
    (home / "runtime").mkdir(parents=True)
    with FileLock(home / "runtime" / "daemon.lock"):
        command = start("list")
        refused = home / "state" / "daemon.out"
        while not refused.exists() or "already serves the store" not in refused.read_text():
            assert command.poll() is None
    assert finish(command).code == 0


def test_port_in_use_is_named(home: Path) -> None:
    (home / "state").mkdir(parents=True)
    # So much output of earlier daemons is thrown away.
    (home / "state" / "daemon.out").write_text("x" * 1_000_001)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        served = nybble_here("serve", "--port", port)
        listed = nybble_here("list", "--port", port)
    assert served.code == exits.USAGE
    assert f"port {port} on 127.0.0.1 is in use" in served.stderr
    assert listed.code == exits.UNREACHABLE
    assert f"port {port} on 127.0.0.1 is in use" in listed.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_computers_cannot_be_served(host: str) -> None:
    refused = nybble_here("serve", "--host", host)
    assert refused.code == exits.USAGE
    assert "will not listen on" in refused.stderr
    assert "hint:" in refused.stderr


class Impostor(BaseHTTPRequestHandler):
    """Answers everything with 200, as a development server would."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_stranger_at_the_recorded_address_is_not_taken_for_the_daemon(home: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Impostor) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        record = DaemonRecord(os.getpid(), f"http://127.0.0.1:{server.server_port}", "0.1.0")
        (home / "runtime").mkdir(parents=True)
        daemon_file.write(home / "runtime" / "daemon.json", record)
        refused, started = nybble_here("list", "--no-start"), nybble_here("list")
        server.shutdown()
    assert refused.code == exits.UNREACHABLE
    assert started.code == 0, started.stderr


def test_another_stores_daemon_is_not_taken_for_ours(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "runtime").mkdir(parents=True)
    daemon_file.write(other / "runtime" / "daemon.json", DaemonRecord(1, daemon.address, "0.1.0"))
    monkeypatch.setenv("NYBBLE_HOME", str(other))
    refused = nybble_here("list", "--no-start")
    assert refused.code == exits.UNREACHABLE


def test_killed_daemon_leaves_a_store_that_works(home: Path) -> None:
    with Daemon(home) as first:
        first.kill()
        # Its file is there still, and names a process that is gone.
        assert daemon_file.read(first.paths.daemon_file) is not None
        assert nybble_here("list").code == 0
        assert daemon_pids(home) != {first.pid}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_an_idle_daemon_and_frees_its_port(daemon: Daemon, number: signal.Signals) -> None:
    daemon.process.send_signal(number)
    assert daemon.wait() == 0
    assert not daemon.paths.daemon_file.exists()
    port = int(daemon.address.rpartition(":")[2])
    socket.create_server(("127.0.0.1", port)).close()


async def begun(client: Client, max_tokens: int) -> AsyncIterator[object]:
    """A generation that has answered its first text."""
    options = Options(max_tokens=max_tokens, seed=1)
    events = client.generate(GenerateRequest(model="tiny", prompt="The list", options=options))
    async for event in events:
        if isinstance(event, TextDelta):
            return events
    raise AssertionError("no text")


async def test_first_signal_lets_answers_end(home: Path, tiny_model: Path) -> None:
    with Daemon(home, {"NYBBLE_DRAIN": "1h"}) as daemon:
        daemon.add_model(tiny_model, "tiny")
        async with daemon.client() as client:
            assert (await client.health()).drain_s == 3600, "`nybble stop --daemon` waits as long"
            events = await begun(client, 100)
            daemon.process.terminate()
            last = [event async for event in events][-1]
            assert isinstance(last, Done) and last.usage.completion_tokens == 100
        assert daemon.wait() == 0


async def test_second_signal_cuts_the_drain_short(home: Path, tiny_model: Path) -> None:
    with Daemon(home, {"NYBBLE_DRAIN": "1h"}) as daemon:
        daemon.add_model(tiny_model, "tiny")
        async with daemon.client() as client:
            events = await begun(client, 900)
            # Two of the same kind would be one if they came at once.
            daemon.process.send_signal(signal.SIGTERM)
            daemon.process.send_signal(signal.SIGINT)
            with pytest.raises(RemoteError) as caught:
                [event async for event in events]
            assert (caught.value.code, caught.value.status) == ("overloaded", 503)
        assert daemon.wait() == 0


def test_everything_lies_in_the_home_and_is_private(home: Path, tmp_path: Path) -> None:
    elsewhere = {"HOME": str(tmp_path / "elsewhere")}
    Path(elsewhere["HOME"]).mkdir()
    before = os.umask(0)
    try:
        assert nybble("list", environment=elsewhere).code == 0
        assert nybble("config", "set", "threads", "1", environment=elsewhere).code == 0
        assert nybble("stop", "--daemon", environment=elsewhere).code == 0
    finally:
        os.umask(before)
    assert list(Path(elsewhere["HOME"]).iterdir()) == []
    written = [home, *home.rglob("*")]
    assert {"daemon.log", "daemon.out", "daemon.lock", "config.toml"} <= {path.name for path in written}
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in written}
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_no_start_refuses_with_a_hint(home: Path) -> None:
    refused = nybble_here("ps", "--no-start")
    assert (refused.code, refused.stdout) == (exits.UNREACHABLE, "")
    assert "error: no nybble daemon serves" in refused.stderr
    assert "hint: `nybble serve`" in refused.stderr
    assert not home.exists()


def test_hostile_environment_is_not_imported(home: Path, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported from PYTHONPATH')")
    listed = nybble("list", "--json", environment={"PYTHONPATH": str(tmp_path)})
    assert (listed.code, json.loads(listed.stdout)) == (0, [])
