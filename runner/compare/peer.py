"""llama-perplexity, where somebody has it: its figures for the same files, text and chunks."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from modelstore.errors import UserError
from runner.compare.selftest import PeerFigures
from runner.compare.variant import Variant

_FIGURES = {
    "ppl": r"Mean PPL\(Q\) +: +([\d.]+)",
    "kld_mean": r"Mean +KLD: +(-?[\d.]+)",
    "kld_median": r"Median +KLD: +(-?[\d.]+)",
    "kld_p99": r"99\.0% +KLD: +(-?[\d.]+)",
    "delta_p_rms": r"RMS Δp +: +([\d.]+)",
    "same_top": r"Same top p: +([\d.]+)",
}
_PPL = re.compile(r"Final estimate: PPL = ([\d.]+)")


@dataclass(frozen=True, slots=True)
class Peer:
    """`text` is a file, of which `chunks` times `length` tokens are scored. It writes the base's logits into
    `folder`: two bytes for each entry of the vocabulary and scored token."""

    binary: Path
    text: Path
    length: int
    chunks: int
    folder: Path

    def base(self, reference: Variant) -> float:
        """Perplexity of the reference. Raises UserError, as does `figures`."""
        found = _PPL.search(self._run(reference, "-f", str(self.text), "--chunks", str(self.chunks)))
        if found is None:
            raise UserError(f"{self.binary} printed no perplexity")
        return float(found[1])

    def figures(self, candidate: Variant) -> PeerFigures:
        """Beside the reference that `base` was asked about."""
        return figures_in(self._run(candidate, "--kl-divergence"))

    def command(self, variant: Variant, *options: str) -> list[str]:
        engine, base = variant.engine, str(self.folder / "base.logits")
        # Without a folder before it, a file here would be looked for among the programs.
        binary = self.binary.absolute() if self.binary.is_file() else self.binary
        attention = {None: (), True: ("-fa", "on"), False: ("-fa", "off")}[engine.flash_attention]
        return [
            str(binary), "-m", str(variant.path), "-c", str(self.length), "-t", str(engine.threads),
            "-ngl", str(engine.gpu_layers if engine.gpu_layers >= 0 else 999), *attention,
            "-ctk", engine.kv_type_k, "-ctv", engine.kv_type_v, "--kl-divergence-base", base, *options,
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


def figures_in(printed: str) -> PeerFigures:
    """Raises UserError."""
    found = {name: re.search(pattern, printed) for name, pattern in _FIGURES.items()}
    if missing := [name for name, match in found.items() if match is None]:
        raise UserError(f"llama-perplexity did not print {', '.join(missing)}")
    return PeerFigures(**{name: float(match[1]) for name, match in found.items() if match})
