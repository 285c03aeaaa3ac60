"""HTTP: one file per dialect, translation only."""

from __future__ import annotations

from types import ModuleType

from runner import wire


def build_validators(types: ModuleType) -> None:
    """Of all wire types of a module: the web framework warns of those that wait for their first use."""
    for kind in list(vars(types).values()):
        if isinstance(kind, type) and issubclass(kind, wire.Wire):
            kind.model_config["defer_build"] = False
            kind.model_rebuild()


build_validators(wire)
