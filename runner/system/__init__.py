"""The only place with code for one operating system: the same functions for each."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from runner.system.windows import (
        claim_address,
        cpu_features,
        cpu_model,
        detached_process_options,
        drop_from_memory,
        limit_resources,
        stop_signals,
    )
else:
    from runner.system.posix import claim_address, detached_process_options, stop_signals

    if sys.platform == "darwin":
        from runner.system.macos import cpu_features, cpu_model, drop_from_memory, limit_resources
    else:
        from runner.system.linux import cpu_features, cpu_model, drop_from_memory, limit_resources
