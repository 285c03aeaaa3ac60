"""Energy counters and disturbances, read from files as Linux has them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.compare.disturbance import Disturbances
from runner.compare.sensors import NotMeasurable, find_sensor
from runner.compare.sensors.battery import Battery
from runner.compare.sensors.rapl import Rapl

# Names of these files cannot be had on Windows, and nobody reads them on macOS.
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files that Linux has")

RANGE_UJ = 262_143_328_850


def write(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")


def zone(root: Path, folder: str, name: str, energy_uj: int) -> Path:
    path = f"sys/class/powercap/{folder}"
    values = {"name": name, "energy_uj": energy_uj, "max_energy_range_uj": RANGE_UJ}
    write(root, {f"{path}/{key}": value for key, value in values.items()})
    return root / path / "energy_uj"


def battery(root: Path, **values: object) -> None:
    files = {"type": "Battery", "status": "Discharging", "capacity": 63} | values
    write(root, {f"sys/class/power_supply/BAT0/{key}": value for key, value in files.items()})


def test_counters_add_up_over_packages_and_start_again_after_their_range(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 1_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 77)
    # The same package by another way would count twice.
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 99)
    sensor = Rapl(tmp_path)
    assert (sensor.covers, sensor.joules()) == ("CPU package", 0.0)
    first.write_text("2000000\n")
    second.write_text("5500000\n")
    assert sensor.joules() == pytest.approx(3.5)
    first.write_text("2500000\n")
    assert sensor.joules() == pytest.approx(4.0)


def test_the_whole_platform_is_preferred_and_memory_counts_beside_packages(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    assert Rapl(tmp_path).covers == "CPU package and memory"
    platform = zone(tmp_path, "intel-rapl:1", "psys", 0)
    sensor = find_sensor(frozenset({"CPU"}), tmp_path)
    assert (sensor.name, sensor.covers) == ("RAPL", "whole platform")
    platform.write_text("7000000\n")
    assert sensor.joules() == 7.0


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Tests of containers run as root, who may read everything."""
    before = os.geteuid()
    os.seteuid(before or 65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_counter_for_administrators_comes_with_the_line_that_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0).chmod(0)
    tmp_path.chmod(0o755)
    # An ordinary user may not walk to root's folder of tests.
    monkeypatch.chdir(tmp_path)
    with an_ordinary_user(), pytest.raises(NotMeasurable, match='SUBSYSTEM=="powercap"'):
        Rapl(Path())


def test_nothing_is_said_where_nothing_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotMeasurable, match=r"no energy counter .*; there is no battery"):
        find_sensor(frozenset({"CPU"}), tmp_path)
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    # The processor's energy would not be that of a model on the GPU.
    with pytest.raises(NotMeasurable, match="Vulkan0 has no counter"):
        find_sensor(frozenset({"CPU", "Vulkan0"}), tmp_path)


def test_a_battery_counts_while_it_drains(tmp_path: Path) -> None:
    battery(tmp_path, power_now=12_000_000)
    write(tmp_path, {"sys/class/power_supply/mouse/type": "Battery"})
    write(tmp_path, {"sys/class/power_supply/mouse/scope": "Device"})
    sensor = find_sensor(frozenset({"CPU"}), tmp_path)
    assert sensor.covers == "whole laptop (battery)"
    first = sensor.joules()
    battery(tmp_path, power_now=24_000_000)
    assert sensor.joules() > first >= 0
    battery(tmp_path, power_now=0, status="Charging")
    with pytest.raises(NotMeasurable, match="not plugged in"):
        sensor.joules()


def test_watts_from_current_and_voltage(tmp_path: Path) -> None:
    battery(tmp_path, current_now=-2_000_000, voltage_now=11_000_000)
    began_s = time.monotonic()
    sensor = Battery(tmp_path)
    made_s = time.monotonic()
    while time.monotonic() - made_s < 0.05:
        sensor.joules()
    asked_s = time.monotonic()
    joules = sensor.joules()
    answered_s = time.monotonic()
    rounding = 1e-6
    assert 22 * (asked_s - made_s) - rounding <= joules <= 22 * (answered_s - began_s) + rounding


def test_a_battery_that_drains_and_heat_are_named(tmp_path: Path) -> None:
    counter = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    write(tmp_path, {counter: 3})
    battery(tmp_path)
    disturbances = Disturbances(tmp_path)
    battery(tmp_path, capacity=57)
    write(tmp_path, {counter: 8})
    heat, drained = disturbances.warnings()
    assert "5 times because of heat" in heat
    assert "on battery, which went from 63% to 57%" in drained
    battery(tmp_path, status="Charging")
    assert any("plugged in in the middle" in each for each in disturbances.warnings())
