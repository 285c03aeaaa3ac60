"""A process that pulls, for tests that kill it: prints the bytes so far, one number a line.

`python -m tests.system.modelstore.pulling hub ROOT ENDPOINT`, or `… package ROOT` for the file that
`TINY` describes, from the index of the environment.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from threading import Event

from modelstore.catalog import File, PackageMirror, Part
from modelstore.download import Policy
from modelstore.progress import Progress
from modelstore.pull import Job, pull
from modelstore.sources.huggingface import HubOptions
from modelstore.sources.package_index import PackageSource
from modelstore.store import Store

MODEL = Path(__file__).parents[2] / "data" / "nybble-tiny-draft-f16.gguf"
HALVES = (2_000_000, MODEL.stat().st_size - 2_000_000)
PARTS = tuple(Part(f"tiny-part{i}==1.0", f"tiny_part{i}/data.part", HALVES[i]) for i in range(2))


def tiny_source() -> PackageSource:
    """The small test model, in two packages."""
    data = MODEL.read_bytes()
    file = File("tiny.gguf", len(data), hashlib.sha256(data).hexdigest())
    return PackageSource("tiny:f16", file, PackageMirror("package", PARTS))


def report(progress: Progress) -> None:
    print(progress.completed_bytes or 0, flush=True)


if __name__ == "__main__":
    kind, root, *endpoint = sys.argv[1:]
    store = Store(Path(root))
    if kind == "hub":
        options = HubOptions(endpoint=endpoint[0], policy=Policy(backoff_s=0.2))
        pull(store, "me/model", None, options, report, Event())
    else:
        Job(store, tiny_source(), None, None, report, Event()).run()
