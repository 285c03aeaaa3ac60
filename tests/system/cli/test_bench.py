"""`nybble bench` on a small real model, with a real daemon."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.bench.neighbours import Watch, families
from tests.commands import nybble, nybble_here
from tests.daemons import Daemon
from tests.encoder_gguf import write_encoder

SMALL = ("-p", "16", "-n", "8", "-d", "0,32", "-c", "1,2", "-r", "2")
QUICKER = ("-p", "16", "-n", "8", "-d", "0", "-c", "0", "-r", "2")


def test_measures_keeps_and_compares(shared: Daemon) -> None:
    first = nybble_here("bench", "tiny", *SMALL, "--json")
    assert first.code == 0, first.stderr
    run = json.loads(first.stdout)
    figures = {figure["name"]: figure for figure in run["figures"]}
    alone = ["pp16", "tg8", "pp16 @ d32", "tg8 @ d32"]
    kinds = ["TTFT p50", "TTFT p99", "ITL p50", "ITL p99", "throughput"]
    assert list(figures) == alone + [f"{kind}, {of}" for of in ("1 client", "2 clients") for kind in kinds]
    assert all(figure["value"] > 0 and figure["spread"] is not None for figure in figures.values())
    assert figures["TTFT p50, 2 clients"]["value"] <= figures["TTFT p99, 2 clients"]["value"]
    assert run["setup"]["slots"].endswith(" tokens")
    assert "pp16 @ d32" in first.stderr and "served" in first.stderr

    second = nybble_here("bench", "tiny", *QUICKER, "--against", "last")
    assert second.code == 0, second.stderr
    assert "not the same as in run 1: slots: " in second.stderr
    rows = [line.split() for line in second.stdout.splitlines()]
    assert ["TEST", "RUN", "1", "NOW", "CHANGE"] in rows
    # Two figures with their spreads; a change within these is told with the same sign.
    assert sum(row[:1] == ["pp16"] and row[2:6:3] == ["±", "±"] for row in rows) == 1

    listed = nybble_here("bench", "--history").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["RUN", "1", "2"]
    assert json.loads(nybble_here("bench", "ti", "--history", "--json").stdout)[0] == run


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((), "give a model, or --history"),
        (("tiny", "-d", "0;32"), "whole numbers with commas"),
        (("tiny", "-p", "4096"), "too many for a context of 1024"),
        (("tiny", "-d", "9999"), "10511 tokens are too many for a context of 1024"),
        (("tiny", "--against", "77"), "there is no run 77"),
        (("nothing-here",), "nothing-here"),
    ],
)
def test_refuses_before_it_measures(shared: Daemon, arguments: tuple[str, ...], says: str) -> None:
    refused = nybble_here("bench", *arguments)
    assert refused.code != 0
    assert says in refused.stderr
    assert not refused.stdout


@pytest.fixture
def neighbours() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that keep all processors busy."""
    spin = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    yield spinning
    for process in spinning:
        process.kill()
        process.wait()


def test_beside_busy_processes_it_takes_fewer_threads_and_says_so(
    shared: Daemon, neighbours: list[subprocess.Popen[bytes]]
) -> None:
    wanted = max(2, os.cpu_count() or 1)
    environment = {"NYBBLE_THREADS": str(wanted)}
    measured = nybble("bench", "tiny", *QUICKER, "--json", environment=environment)
    assert measured.code == 0, measured.stderr
    run = json.loads(measured.stdout)
    assert run["setup"]["threads"] == str(wanted)
    assert run["disturbed"] and all(figure["disturbed"] for figure in run["figures"])
    assert {tuple(figure["threads"]) for figure in run["figures"]} == {(1,)}
    assert "beside the engine there was at work: " in measured.stderr
    assert "what is disturbed would be faster" in measured.stderr
    again = nybble("bench", "tiny", *QUICKER, "--against", "last", environment=environment)
    rows = [line.split() for line in again.stdout.splitlines()]
    assert [row[-1] for row in rows if row[:1] == ["tg8"]] == ["disturbed", "disturbed"]
    assert f"run {run['number']} was disturbed" in again.stderr
    listed = nybble_here("bench", "--history")
    assert f"{run['number']} *" in listed.stdout and "* disturbed" in listed.stderr


def test_what_cannot_generate_is_refused_and_not_tried(shared: Daemon, tmp_path: Path) -> None:
    with contextlib.ExitStack() as removed:
        shared.add_model(write_encoder(tmp_path / "encoder.gguf"), "encoder")
        removed.callback(nybble_here, "rm", "encoder")
        refused = nybble_here("bench", "encoder", *QUICKER)
    assert (refused.code, refused.stdout) == (2, "")
    assert '"encoder:latest" does not support generate' in refused.stderr


def test_a_neighbour_at_work_is_named() -> None:
    spin = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(spin) as neighbour:
        try:
            watch, deadline = Watch(), time.monotonic() + 60
            while time.monotonic() < deadline:
                found = {each.pid: each for each in watch.busy(set())}
                if neighbour.pid in found:
                    break
            assert found[neighbour.pid].cores > 0.1
            assert found[neighbour.pid].name in str(found[neighbour.pid])
            ours = families([os.getpid()])
            assert neighbour.pid in ours
            assert neighbour.pid not in {each.pid for each in watch.busy(ours)}
        finally:
            neighbour.kill()
