"""Which blobs may go. Pure: the store does the deleting."""

from __future__ import annotations

from collections.abc import Iterable

from modelstore.manifests import Damaged, Manifest


def garbage(
    candidates: Iterable[str], manifests: Iterable[Manifest], damaged: Iterable[Damaged]
) -> frozenset[str]:
    """The digests among `candidates` that no tag uses.

    None at all while any manifest is unreadable: it might use them.
    """
    if any(True for _ in damaged):
        return frozenset()
    return frozenset(candidates) - {manifest.digest for manifest in manifests}
