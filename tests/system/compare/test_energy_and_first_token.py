"""Energy of a model that computes, and first tokens through a real daemon."""

from __future__ import annotations

import asyncio
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from modelstore.store import Store
from runner.bench.plan import Plan
from runner.bench.served import Load
from runner.client import Client
from runner.compare.first_token import measure_first_token
from runner.compare.speed import measure_speed
from tests.commands import nybble_here
from tests.daemons import Daemon
from tests.fast.compare.timing import PLAN, listener, measured, variant

WATTS = 12.0


@contextmanager
def a_counter(root: Path) -> Iterator[None]:
    """A processor of WATTS, whose counter starts again every second or so."""
    folder = root / "sys/class/powercap/intel-rapl:0"
    folder.mkdir(parents=True)
    range_uj = int(WATTS * 1.1e6)
    for name, value in (("name", "package-0"), ("max_energy_range_uj", range_uj), ("energy_uj", 0)):
        (folder / name).write_text(f"{value}\n")
    done = Event()

    def count() -> None:
        while not done.wait(0.002):
            energy_uj = int(time.monotonic() * WATTS * 1e6) % range_uj
            (folder / "next").write_text(f"{energy_uj}\n")
            (folder / "next").replace(folder / "energy_uj")

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield
    finally:
        done.set()
        counting.join()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files that Linux has")
def test_joules_are_those_of_the_counter(tiny_model: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, depths=(0,), repetitions=1, loads=1)
    with a_counter(tmp_path):
        ((_, found),) = measure_speed([variant(tiny_model)], plan, listener(), Event(), tmp_path)
    speed, energy = found.speed, found.energy
    assert (energy.sensor, energy.covers) == ("RAPL", "CPU package")
    for joules, tps in (
        (energy.prompt_joules_gross, speed.depths[0].prefill_tps),
        (energy.generated_joules_gross, speed.depths[0].decode_tps),
    ):
        # The whole of the window, with what is between repetitions and with those that were disturbed.
        assert joules.value is not None and 0.8 < joules.value / (WATTS / measured(tps)) < 3
    # It takes the same when it rests, so that nothing is left.
    gross, net = energy.generated_joules_gross.value, energy.generated_joules_net.value
    assert gross is not None and net == pytest.approx(0, abs=0.05 * gross)
    assert energy.generated_joules_gross.reason and "once" in energy.generated_joules_gross.reason


async def use(address: str, model: str) -> None:
    async with Client(address) as client:
        await Load(client, model, Plan(prompt_tokens=4, generate_tokens=1)).request()


def test_first_tokens_are_timed_where_they_happen(daemon: Daemon, tiny_model: Path, tmp_path: Path) -> None:
    # The store links to the file it is given, and another test may have that one in its memory.
    own = shutil.copy(tiny_model, tmp_path / "own.gguf")
    assert nybble_here("pull", str(own), "--as", "tiny").code == 0
    store = Store(daemon.paths.store)
    manifest = store.get("tiny")
    tagged = replace(variant(store.check(manifest)), digest=manifest.digest, tag="tiny")
    plan = replace(PLAN, daemon=daemon.address)
    first = measure_first_token(tagged, plan, False, Event())
    assert measured(first.server) <= measured(first.client) < (first.cold.value or 0)
    # The daemon has nothing loaded, as before; a model that somebody uses is left alone.
    asyncio.run(use(daemon.address, "tiny"))
    in_use = measure_first_token(tagged, plan, False, Event())
    assert in_use.cold.reason and "disturb" in in_use.cold.reason
    assert measured(in_use.client) > 0
    for named, is_settings_variant, reason in (
        (replace(tagged, tag=None), False, "have a name"),
        (tagged, True, "its own settings"),
        (replace(tagged, tag="nobody"), False, "not measured: "),
    ):
        refused = measure_first_token(named, plan, is_settings_variant, Event())
        assert refused.client.value is None and reason in (refused.client.reason or "")
