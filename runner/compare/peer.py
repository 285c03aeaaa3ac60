"""llama-perplexity, where somebody has it: its figures for the same files, text and chunks."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from modelstore.errors import UserError
from runner.compare.variant import Variant
from runner.wire.compare import Estimate

_FIGURES = {
    "perplexity": r"Mean PPL\(Q\)",
    "mean KL divergence": r"Mean +KLD",
    "median KL divergence": r"Median +KLD",
    "KL divergence, 99 %": r"99\.0% +KLD",
    "RMS Δp": "RMS Δp",
    "same top": "Same top p",
}
_VALUE = r" *: +(-?[\d.]+)(?: ± +([\d.]+))?( %)?"
_PPL = re.compile(r"Final estimate: PPL = ([\d.]+) \+/- ([\d.]+)")


@dataclass(frozen=True, slots=True)
class Peer:
    """`text` is a file, of which `chunks` times `length` tokens are scored. It writes the base's
    distributions into `logits`: two bytes for each entry of the vocabulary and scored token."""

    binary: Path
    text: Path
    length: int
    chunks: int
    logits: Path

    def base(self, reference: Variant) -> Estimate:
        """Perplexity of the reference. Raises UserError, as does `figures`."""
        found = _PPL.search(self._run(reference, "-f", str(self.text), "--chunks", str(self.chunks)))
        if found is None:
            raise UserError(f"{self.binary} printed no perplexity")
        return Estimate(value=float(found[1]), error=float(found[2]))

    def figures(self, candidate: Variant) -> dict[str, Estimate]:
        """Beside the reference that `base` was asked about."""
        return figures_in(self._run(candidate, "--kl-divergence"))

    def command(self, variant: Variant, *options: str) -> list[str]:
        engine = variant.engine
        # Without a folder before it, a file here would be looked for among the programs.
        binary = self.binary.absolute() if self.binary.is_file() else self.binary
        attention = {None: (), True: ("-fa", "on"), False: ("-fa", "off")}[engine.flash_attention]
        return [
            str(binary), "-m", str(variant.path), "-c", str(self.length), "-t", str(engine.threads),
            "-ngl", str(engine.gpu_layers if engine.gpu_layers >= 0 else 999), *attention,
            "-ctk", engine.kv_type_k, "-ctv", engine.kv_type_v, "--kl-divergence-base", str(self.logits),
            *options,
        ]  # fmt: skip

    def _run(self, variant: Variant, *options: str) -> str:
        try:
            done = subprocess.run(
                self.command(variant, *options),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except OSError as error:
            raise UserError(f"{self.binary} cannot be run: {error.strerror}") from error
        printed = done.stdout.decode("utf-8", "replace")
        if done.returncode != 0:
            last = printed.strip().splitlines()[-1:] or ["no message"]
            raise UserError(f"{self.binary} failed with {done.returncode}: {last[0]}")
        return printed


def figures_in(printed: str) -> dict[str, Estimate]:
    """By name, with the errors it gives. Raises UserError."""
    found = {name: re.search(label + _VALUE, printed) for name, label in _FIGURES.items()}
    if missing := [name for name, match in found.items() if match is None]:
        raise UserError(f"llama-perplexity did not print {', '.join(missing)}")
    return {name: _estimate(match) for name, match in found.items() if match}


def _estimate(match: re.Match[str]) -> Estimate:
    value, error, percent = match.groups()
    unit = 0.01 if percent else 1.0
    return Estimate(value=unit * float(value), error=unit * float(error) if error else None)
