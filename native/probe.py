"""Child entry, `python -I -m native.probe`: prints one HardwareSnapshot as JSON on stdout."""

from __future__ import annotations

import re
from importlib import metadata

from native.snapshot import HardwareSnapshot
from native.stdio import take_stdout


def take_snapshot() -> HardwareSnapshot:
    """Loads llama.cpp: call it in a child only."""
    from native import devices, topology
    from native.binding import api

    system_info = api.llama_print_system_info().decode("utf-8", "replace").strip(" |")
    return HardwareSnapshot(
        llama_cpp_python=metadata.version("llama-cpp-python"),
        system_info=system_info,
        instruction_sets=tuple(re.findall(r"(\w+) = 1\b", system_info)),
        devices=devices.devices(),
        physical_cores=topology.physical_cores(),
        performance_cores=topology.performance_cores(),
        memory=topology.memory(),
    )


def main() -> None:
    # Before it is taken: back ends print when they start.
    with take_stdout() as answer:
        answer.write(take_snapshot().to_json() + b"\n")


if __name__ == "__main__":
    main()
