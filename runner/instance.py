"""One loaded copy of a model: its weights, and the settings that need a load of their own."""

from __future__ import annotations

import functools
import hashlib
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

_SEPARATOR = "#"


@dataclass(frozen=True, slots=True)
class Instance:
    """Two requests share a worker if they need equal instances. `digest` and `draft_digest` are those of the
    weights files of the model and of its draft model."""

    digest: str
    is_embedding: bool = False
    kv_type_k: str = "f16"
    kv_type_v: str = "f16"
    flash_attention: Literal["auto", "on", "off"] = "auto"
    draft_digest: str | None = None

    @property
    def variant(self) -> str:
        """What sets it apart from a plain load: "embedding", "KV q8_0", "KV f16/q8_0, draft 7e1f…"."""
        words = ["embedding"] if self.is_embedding else []
        if (self.kv_type_k, self.kv_type_v) != ("f16", "f16"):
            words.append("KV " + "/".join(dict.fromkeys((self.kv_type_k, self.kv_type_v))))
        if self.flash_attention != "auto":
            words.append(f"flash attention {self.flash_attention}")
        if self.draft_digest is not None:
            words.append(f"draft {self.draft_digest.removeprefix('sha256:')[:12]}")
        return ", ".join(words)

    @property
    def key(self) -> str:
        """`digest` or `digest#variant`: the scheduler's name for it."""
        return self.digest + (_SEPARATOR + self.variant if self.variant else "")


def digest_of(key: str) -> str:
    return key.partition(_SEPARATOR)[0]


def prefix_path(cache: Path, instance: Instance, template: str | None) -> Path:
    """Where computed prompts of this instance are kept between loads. Weights, engine build, KV types and
    chat template are in its path, because what was computed with one is useless with another. The last part,
    of KV types and template, goes into the files and not into their place: they share the disk space."""
    settings = f"{instance.key}\0{template or ''}".encode()
    return _prefixes(cache, instance.digest) / _engine_build() / hashlib.sha256(settings).hexdigest()[:16]


def measurements_folder(cache: Path) -> Path:
    """Where workers of this engine build keep what they measure once for a file on this machine."""
    return cache / "measurements" / _engine_build()


def remove_prefixes(cache: Path, digest: str) -> None:
    """Free the disk from what was computed with these weights. Blocks."""
    shutil.rmtree(_prefixes(cache, digest), ignore_errors=True)


def remove_stale_prefixes(cache: Path) -> None:
    """Free the disk from what other engine builds computed: this one cannot use it. Blocks."""
    for folder in (cache / "prefixes").glob("*/*"):
        if folder.name != _engine_build():
            shutil.rmtree(folder, ignore_errors=True)


def _prefixes(cache: Path, digest: str) -> Path:
    return cache / "prefixes" / digest.removeprefix("sha256:")[:16]


@functools.cache
def _engine_build() -> str:
    return metadata.version("llama-cpp-python")
