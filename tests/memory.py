"""What llama.cpp allocates for a model, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MeasuredMemory:
    weights_bytes: int
    kv_bytes: float
    compute_bytes: float


def measured_memory(
    path: Path, context_length: int, slots: int, batch_tokens: int, flash_attention: bool = True
) -> MeasuredMemory:
    """`compute_bytes` includes the output buffer. Figures are llama.cpp's, printed to 0.01 MiB."""
    arguments = [str(path), str(context_length), str(slots), str(batch_tokens), str(int(flash_attention))]
    script = Path(__file__).with_name("memory_report.py")
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True)
    return MeasuredMemory(**json.loads(done.stdout))
