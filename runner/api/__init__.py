"""HTTP: one file per dialect, translation only."""

from __future__ import annotations

from runner import wire

# The web framework warns of types whose validators wait for their first use.
for _kind in list(vars(wire).values()):
    if isinstance(_kind, type) and issubclass(_kind, wire.Wire):
        _kind.model_config["defer_build"] = False
        _kind.model_rebuild()
