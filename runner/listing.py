"""Manifests, headers and workers in the words of the API."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from modelstore.header import Header
from modelstore.manifests import Manifest
from runner import wire
from runner.claims import Target
from runner.loaded import Loaded, Phase
from runner.process import Worker

_LONGEST_ARRAY = 5


def info(manifest: Manifest) -> wire.ModelInfo:
    return wire.ModelInfo.model_validate(manifest, from_attributes=True)


def detail(manifest: Manifest, header: Header, path: Path) -> wire.ModelDetail:
    return wire.ModelDetail(
        **info(manifest).model_dump(),
        files=[wire.ModelFile(digest=manifest.digest, size_bytes=manifest.size_bytes, path=str(path))],
        purpose=header.purpose,
        chat_template=header.chat_template,
        metadata={key: _value(value) for key, value in header.metadata.items()},
        tensors=[wire.TensorInfo(name=t.name, type=t.type, shape=list(t.shape)) for t in header.tensors],
    )


def _value(value: Any) -> Any:
    """A header value as JSON: arrays longer than five are None."""
    if isinstance(value, tuple):
        return list(value) if len(value) <= _LONGEST_ARRAY else None
    return value


def loaded_model(model: Loaded, target: Target, worker: Worker | None) -> wire.LoadedModel:
    """One row of `ps`."""
    placement, ready = model.placement, worker.ready if worker else None
    return wire.LoadedModel(
        name=target.name,
        digest=target.instance.digest,
        variant=target.instance.variant or None,
        state=_state(model.phase),
        pid=worker.pid if worker else None,
        size_bytes=target.size_bytes,
        memory_bytes=worker.memory_bytes if worker else None,
        gpu_memory_bytes=placement.memory_bytes if placement and placement.gpu_layers else None,
        context_length=placement.context_length if placement else 0,
        slots=placement.slots if placement else 0,
        # A request that the worker has not yet said anything of is there all the same.
        busy_slots=max(worker.busy_slots if worker else 0, min(len(model.active), model.slots)),
        waiting=model.queue_length,
        threads=worker.threads if worker else None,
        most_threads=ready.threads if ready else None,
        devices=ready.devices if ready else None,
        flash_attention=ready.flash_attention if ready else None,
        reason=placement.reason if placement else "waiting for room",
        notes=list(ready.notes) if ready else [],
        expires_at=_expires_at(model),
    )


def _state(phase: Phase) -> Literal["loading", "ready", "unloading"]:
    if phase is Phase.READY:
        return "ready"
    return "unloading" if phase is Phase.UNLOADING else "loading"


def _expires_at(model: Loaded) -> datetime | None:
    at_s = model.expires_at_s()
    if at_s is None:
        return None
    return datetime.now(UTC) + timedelta(seconds=at_s - time.monotonic())
