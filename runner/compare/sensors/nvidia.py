"""NVIDIA's counter of what the graphics boards take (NVML)."""

from __future__ import annotations

from runner.compare.sensors.sensor import NotMeasurable


class Nvidia:
    """All boards together, those that idle too: what is idle is subtracted for the net figures."""

    name = "NVML"
    covers = "GPU board"
    # Counters are renewed ten times a second, and some boards average over a second.
    window_s = 10.0

    def __init__(self) -> None:
        """Raises NotMeasurable."""
        try:
            import pynvml
        except ImportError:
            raise NotMeasurable(
                "the GPU's energy counter needs a package: pip install 'nybble[energy]'"
            ) from None
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._boards = [
                pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
            ]
        except pynvml.NVMLError as error:
            raise NotMeasurable(f"NVIDIA's driver shows no energy counter: {error}") from None
        self.joules()

    def joules(self) -> float:
        try:
            counts = [self._nvml.nvmlDeviceGetTotalEnergyConsumption(board) for board in self._boards]
        except self._nvml.NVMLError as error:
            raise NotMeasurable(f"the GPU has no energy counter: {error}") from None
        # Millijoules.
        return float(sum(counts)) / 1e3
