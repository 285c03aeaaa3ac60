"""What the scheduler decides, for the supervisor to carry out."""

from __future__ import annotations

from dataclasses import dataclass

from modelstore.errors import NybbleError
from runner.placement import Placement


@dataclass(frozen=True, slots=True)
class StartLoad:
    key: str
    placement: Placement


@dataclass(frozen=True, slots=True)
class Unload:
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """The model of this request is ready: the request may go to its worker."""

    request_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Reject:
    request_id: str
    error: NybbleError


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The request's new place in the queue of its model; 1 is next."""

    request_id: str
    position: int


@dataclass(frozen=True, slots=True)
class AnnounceReload:
    """The model will be loaded anew for this request."""

    request_id: str
    reason: str


Effect = StartLoad | Unload | Start | Reject | Enqueued | AnnounceReload
