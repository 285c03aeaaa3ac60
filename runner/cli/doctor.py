"""`doctor`: what was found on this computer, and what is wrong with it."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import typer

from runner.cli import human, output
from runner.cli.session import Json

if TYPE_CHECKING:
    from native.snapshot import Device
    from runner.paths import Paths

# Without the cache, where the wheel of last time is, and without compiling numpy, too.
_REBUILD = (
    "`pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python"
    ' "llama-cpp-python<0.4"`'
)
_LITTLE_SPACE_BYTES = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One line. `hint` says what to do when it is not ok."""

    name: str
    state: Literal["ok", "warn", "error"]
    text: str
    hint: str | None = None


def doctor(json: Json = False) -> None:
    """Check llama.cpp, devices, store, settings and daemon."""
    from runner import paths

    places = paths.resolve()
    checks = list(_checks(places))
    if json:
        output.write_json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            output.write(f"{check.state.ljust(5)}  {check.name.ljust(width)}  {check.text}")
            if check.hint:
                output.write(f"{' ' * (width + 9)}hint: {check.hint}")
    if any(check.state == "error" for check in checks):
        raise typer.Exit(1)


def _checks(places: Paths) -> Iterator[Check]:
    yield Check("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield from _hardware()
    yield _store(places)
    yield _settings(places)
    yield asyncio.run(_daemon(places))


def _hardware() -> Iterator[Check]:
    from runner import machine, system
    from runner.errors import WorkerFailed

    try:
        snapshot = machine.probe()
    except WorkerFailed as error:
        yield Check("llama.cpp", "error", error.message, f"build llama-cpp-python again: {_REBUILD}")
        return
    yield Check("llama.cpp", "ok", f"llama-cpp-python {snapshot.llama_cpp_python}")
    fast = f", {snapshot.performance_cores} of them fast" if snapshot.performance_cores else ""
    model = system.cpu_model() or platform.machine()
    yield Check("processor", "ok", f"{model}, {snapshot.physical_cores} cores for nybble{fast}")
    yield compare_instruction_sets(snapshot.instruction_sets, system.cpu_features())
    main = snapshot.memory
    text = f"{human.size(main.available_bytes)} free of {human.size(main.total_bytes)}"
    yield Check("memory", "ok", text)
    for device in snapshot.devices:
        yield Check("device", "ok", _describe(device))


def compare_instruction_sets(compiled: tuple[str, ...], present: frozenset[str] | None) -> Check:
    """What llama.cpp was compiled for, against what the processor has; None is unknown."""
    text = f"compiled in: {' '.join(compiled)}"
    if present is None:
        return Check("instructions", "ok", f"{text}; what the processor has is unknown")
    if unused := sorted(present - set(compiled)):
        hint = f"a build for this processor would be faster: {_REBUILD}"
        return Check("instructions", "warn", f"{text}; unused: {' '.join(unused)}", hint)
    return Check("instructions", "ok", text)


def _describe(device: Device) -> str:
    known = device.free_bytes is not None
    free = f", {human.size(device.free_bytes)} free of {human.size(device.total_bytes)}" if known else ""
    return f"{device.name}: {device.description} ({device.kind}){free}"


def _store(places: Paths) -> Check:
    from modelstore.store import Store

    existing = next(folder for folder in (places.store, *places.store.parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing).free
    text = f"{places.store}, {human.size(free_bytes)} free"
    if not os.access(existing, os.W_OK):
        return Check("store", "error", f"{text}, not writable", "set NYBBLE_HOME to a folder of yours")
    if damaged := Store(places.store).damaged():
        hint = "pull these models again, or remove the files: nothing else is deleted until then"
        return Check("store", "error", f"{text}; {'; '.join(damaged)}", hint)
    if free_bytes < _LITTLE_SPACE_BYTES:
        return Check("store", "warn", text, "models take space: `nybble rm` removes some")
    return Check("store", "ok", text)


def _settings(places: Paths) -> Check:
    from runner import config
    from runner.cli.session import open_session

    try:
        origins = open_session().origins
    except config.InvalidSetting as error:
        return Check("settings", "error", error.message, error.hint)
    there = "" if places.config_file.exists() else ", which does not exist"
    others = sorted({origin for origin in origins.values() if origin.startswith("environment")})
    return Check("settings", "ok", "; ".join((f"{places.config_file}{there}", *others)))


async def _daemon(places: Paths) -> Check:
    from importlib.metadata import version

    from runner import launch

    client = await launch.find(places)
    if client is None:
        return Check("daemon", "ok", "not running; the first command that needs it starts it")
    async with client:
        health = await client.health()
    text = f"pid {health.pid} at {health.address}, version {health.version}"
    if health.version != version("nybble"):
        hint = "`nybble stop --daemon` makes the next command start this one"
        return Check("daemon", "warn", f"{text}, but this is {version('nybble')}", hint)
    return Check("daemon", "ok", text)
