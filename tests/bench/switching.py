"""What switching between two loaded models costs: one token from the model that answered last, and one from
the other, in turn.

    python -m tests.bench.switching [ROUNDS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.daemons import Daemon

DATA = Path(__file__).parents[1] / "data"


async def token_ms(http: httpx.AsyncClient, model: str) -> float:
    """Milliseconds from the request to its whole answer of one token."""
    body = {"model": model, "prompt": "The", "raw": True, "stream": False, "options": {"num_predict": 1}}
    started = time.perf_counter()
    (await http.post("/api/generate", json=body)).raise_for_status()
    return 1e3 * (time.perf_counter() - started)


async def measure(address: str, rounds: int) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=60) as http:
        again: list[float] = []
        switched: list[float] = []
        for number in range(rounds + 5):
            for model in ("one", "two"):
                after_switch, after_itself = await token_ms(http, model), await token_ms(http, model)
                if number >= 5:
                    switched.append(after_switch)
                    again.append(after_itself)
    cost_ms = statistics.median(switched) - statistics.median(again)
    print(f"the same model {statistics.median(again):.2f} ms, the other {statistics.median(switched):.2f} ms")
    print(f"switching costs {cost_ms:.2f} ms; target: at most 5")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder) / "home") as daemon:
        daemon.add_model(DATA / "nybble-tiny-f16.gguf", "one")
        daemon.add_model(DATA / "nybble-tiny-draft-f16.gguf", "two")
        asyncio.run(measure(daemon.address, rounds))


if __name__ == "__main__":
    main()
