"""`nybble bench` with a chat model: figures that hang together."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import nybble_here


def test_figures_hang_together(smollm2: Path) -> None:
    assert nybble_here("pull", str(smollm2), "--as", "chat").code == 0
    small = ("-p", "64", "-n", "8", "-d", "0,256", "-c", "1,4", "-r", "2")
    measured = nybble_here("bench", "chat", *small, "--json")
    assert measured.code == 0, measured.stderr
    run = json.loads(measured.stdout)
    speed = {figure["name"]: figure["value"] for figure in run["figures"]}
    assert speed["pp64"] > speed["tg8"]
    assert speed["TTFT p50, 1 client"] > speed["ITL p50, 1 client"]
    assert run["setup"]["placement"].startswith("CPU")
    assert run["setup"]["tokens"] == "64 prompt, 8 generated"
