"""Hardware, probed in a child, and the memory of this machine as the placement needs it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Collection

from native import child, topology
from native.backends import gpu_backends
from native.snapshot import Device, HardwareSnapshot, Memory
from runner.errors import WorkerFailed
from runner.placement import Machine

_log = logging.getLogger(__name__)

_PROBE_S = 60
"""A driver that hangs must not keep models from the CPU."""


def probe() -> HardwareSnapshot:
    """By a child: llama.cpp ends the process on what it does not like, such as an unknown instruction. Raises
    WorkerFailed with its last words. Blocks."""
    command, environment = child.command("native.probe"), child.environment()
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S
        )
        return HardwareSnapshot.from_json(done.stdout)
    except subprocess.TimeoutExpired:
        raise WorkerFailed(f"llama.cpp did not load within {_PROBE_S} s") from None
    except ValueError:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        raise WorkerFailed(f"llama.cpp cannot be loaded, exit code {done.returncode}: {last}") from None


def machine_of(memory: Memory, gpus: Collection[Device], budget_bytes: int | None = None) -> Machine:
    return Machine(
        ram_total_bytes=memory.total_bytes,
        ram_available_bytes=memory.available_bytes,
        gpu_names=tuple(gpu.name for gpu in gpus),
        gpu_available_bytes=sum(gpu.free_bytes or 0 for gpu in gpus),
        budget_bytes=budget_bytes,
    )


class MachineReader:
    """`read` is cheap enough for the loop. Without a GPU backend in the build there is nothing to probe."""

    def __init__(self) -> None:
        self._gpus: tuple[Device, ...] = ()
        self._probe: asyncio.Task[None] | None = None

    def start(self) -> None:
        if gpu_backends():
            self._probe = asyncio.create_task(self._find_gpus())

    async def ready(self) -> None:
        """Wait until the GPUs are known: placing a model before that would put it on the CPU."""
        if self._probe is not None and not self._probe.done():
            await asyncio.wait([self._probe])

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])

    def read(self) -> Machine:
        return machine_of(topology.memory(), self._gpus)

    async def _find_gpus(self) -> None:
        probe = await asyncio.create_subprocess_exec(
            *child.command("native.probe"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=child.environment(),
        )
        try:
            answer, _ = await asyncio.wait_for(probe.communicate(), _PROBE_S)
            snapshot = HardwareSnapshot.from_json(answer)
            self._gpus = tuple(device for device in snapshot.devices if device.kind == "gpu")
        except (TimeoutError, ValueError) as error:
            _log.warning("probing the GPUs failed, using the CPU: %r", error)
        finally:
            if probe.returncode is None:
                probe.kill()
                await probe.wait()
        _log.info("GPUs: %s", ", ".join(gpu.description for gpu in self._gpus) or "none")
