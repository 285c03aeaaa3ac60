"""A kill -9 in the middle of keeping scores loses at most the block that was being kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner.compare.evidence import Evidence, Key
from runner.compare.variant import Engine

_ENGINE = Engine(context_length=4096, threads=2, gpu_layers=0)
KEY = Key("scores", "stream", "sha256:r", _ENGINE, None, "0c1e57098", "cpu", "sha256:c", _ENGINE)

_WRITER = """
import sys
from itertools import count
from pathlib import Path
from runner.compare.evidence import Evidence
from tests.system.compare.test_killed_writer import KEY

evidence = Evidence(Path(sys.argv[1]))
for block in count(int(sys.argv[2])):
    evidence.keep_piece(KEY, block, bytes([block % 251]) * 30_000)
    print(block, flush=True)
"""


def _kept_until_killed(file: Path, first: int, blocks: int) -> int:
    """Number of the last block that a writer, killed after so many, said it had kept."""
    command = [sys.executable, "-c", _WRITER, str(file), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(blocks)]
        writer.kill()
        said += [int(line) for line in writer.stdout.read().splitlines()]
    return said[-1]


def test_what_was_kept_survives_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "evidence.sqlite3"
    first = 0
    for blocks in (1, 3, 7, 12):
        last = _kept_until_killed(file, first, blocks)
        evidence = Evidence(file)
        found = evidence.pieces(KEY)
        evidence.close()
        # The next one may have become durable before the writer could say so.
        assert sorted(found) in (list(range(last + 1)), list(range(last + 2)))
        assert all(payload == bytes([block % 251]) * 30_000 for block, payload in found.items())
        first = len(found)
