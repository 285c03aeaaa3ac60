"""Child process of the tests: loads a model as the worker does and prints what llama.cpp allocated, as JSON.

Arguments: path, context length, slots, batch tokens, flash attention (0 or 1).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from native.llama import Context, ContextOptions, Model
from native.log import Log


def main(path: str, context_length: int, slots: int, batch_tokens: int, flash_attention: int) -> None:
    log = Log()
    model = Model(Path(path), 0, log=log)
    options = ContextOptions(context_length, slots, batch_tokens, 1, 1, flash_attention=bool(flash_attention))
    context = Context(model, options)
    report = {"weights_bytes": model.size_bytes, "kv_bytes": 0.0, "compute_bytes": 0.0}
    kinds = {"KV": "kv_bytes", "RS": "kv_bytes", "compute": "compute_bytes", "output": "compute_bytes"}
    for line in log.infos:
        if found := re.search(r"(KV|RS|compute|output) +buffer size = +([\d.]+) MiB", line):
            report[kinds[found.group(1)]] += float(found.group(2)) * 1024**2
    context.close()
    model.close()
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
