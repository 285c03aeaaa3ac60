"""Apple silicon's counters, through a package that reads them without being root."""

from __future__ import annotations

from runner.compare.sensors.sensor import NotMeasurable

_PARTS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "dram_mj")


class Apple:
    """Processor, GPU and memory: those of them that the chip counts."""

    name = "IOReport"
    window_s = 2.0

    def __init__(self) -> None:
        """Raises NotMeasurable."""
        try:
            from zeus_apple_silicon import AppleEnergyMonitor
        except ImportError:
            raise NotMeasurable(
                "the chip's energy counters need a package: pip install 'nybble[energy]'"
            ) from None
        try:
            self._monitor = AppleEnergyMonitor()
        except RuntimeError as error:
            raise NotMeasurable(f"this Mac shows no energy counters: {error}") from None
        counted = self._monitor.get_cumulative_energy()
        self._counted = [part for part in _PARTS if getattr(counted, part) is not None]
        if not self._counted:
            raise NotMeasurable("this Mac shows no energy counters")
        parts = dict.fromkeys(part.split("_")[0].upper() for part in self._counted)
        self.covers = f"chip ({', '.join(parts)})"

    def joules(self) -> float:
        now = self._monitor.get_cumulative_energy()
        return sum(float(getattr(now, part) or 0) for part in self._counted) / 1e3
