"""`nybble bench` with a chat model: figures that hang together."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import nybble


def test_figures_hang_together(smollm2: Path) -> None:
    assert nybble("pull", str(smollm2), "--as", "chat").code == 0
    measured = nybble(
        "bench", "chat", "-p", "128", "-n", "16", "-d", "0,1024", "-c", "1,4", "-r", "2", "--json"
    )
    assert measured.code == 0, measured.stderr
    run = json.loads(measured.stdout)
    speed = {figure["name"]: figure["value"] for figure in run["figures"]}
    assert speed["pp128"] > speed["tg16"]
    # What a client waits for its first token is at least the prefill alone.
    assert speed["TTFT p50, 1 client"] > 1000 * 128 / speed["pp128"] * 0.5
    assert speed["throughput, 4 clients"] < 4 * speed["tg16"]
    assert run["setup"]["placement"].startswith("CPU")
    assert run["setup"]["tokens"] == "128 prompt, 16 generated"
