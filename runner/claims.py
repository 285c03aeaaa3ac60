"""What a request claims: which instance of which model, and how that is to be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelstore.errors import NotFound
from modelstore.kv_types import KvTypes
from modelstore.manifests import Manifest
from modelstore.store import Store
from runner.instance import Instance, measurements_folder, prefix_path
from runner.loaded import Request
from runner.lookup import Lookup
from runner.placement import Demand, Placement, Wish
from runner.prediction_head import has_head
from runner.protocol import HEAD_ROLLBACK_TOKENS, Load
from runner.settings import ModelSettings, Settings

_MOST_PREFIX_RAM_BYTES = 2**30
# More short texts in one decode gain nothing: by then it is long enough for all cores.
_TEXTS_TOGETHER = 32


@dataclass(frozen=True, slots=True)
class Target:
    """The files behind a scheduler key, and what to call it in messages."""

    name: str
    path: Path
    size_bytes: int
    instance: Instance
    prefix_path: Path
    measurements: Path
    draft_path: Path | None = None
    has_head: bool = False

    @property
    def title(self) -> str:
        """The name, and what sets this load of the weights apart."""
        return f"{self.name} ({self.instance.variant})" if self.instance.variant else self.name


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request says of loading; `draft` is a model's name. None means: as the settings have it."""

    request_id: str
    least_context_length: int | None = None
    keep_alive_s: float | None = None
    is_embedding: bool = False
    draft: str | None = None


class Claims:
    """Makes claims from requests and settings."""

    def __init__(self, settings: Settings, store: Store, lookup: Lookup, cache: Path) -> None:
        self._settings = settings
        self._store = store
        self._lookup = lookup
        self._cache = cache

    async def claim(self, manifest: Manifest, ask: Ask) -> tuple[Request, Target]:
        """Raises NotFound if the draft model is not here, Unusable if a file is damaged."""
        settings = self._settings.of(manifest.name)
        header = await self._lookup.header(manifest)
        draft = None if ask.is_embedding else await self._draft(manifest, ask.draft or settings.draft)
        instance = _instance(manifest, settings, ask, draft)
        drafts_itself = settings.speculation and not draft and not ask.is_embedding and has_head(header)
        request = Request(
            request_id=ask.request_id,
            key=instance.key,
            demand=Demand(
                header=header,
                wish=_wish(settings, instance, ask),
                draft=await self._lookup.header(draft) if draft else None,
                rollback_tokens=HEAD_ROLLBACK_TOKENS if drafts_itself else 0,
            ),
            keep_alive_s=ask.keep_alive_s,
            usual_keep_alive_s=settings.keep_alive_s,
        )
        target = Target(
            name=manifest.name,
            path=self._store.blob_path(manifest.digest),
            size_bytes=manifest.size_bytes,
            instance=instance,
            prefix_path=prefix_path(self._cache, instance, header.chat_template),
            measurements=measurements_folder(self._cache),
            draft_path=self._store.blob_path(draft.digest) if draft else None,
            has_head=drafts_itself,
        )
        return request, target

    async def _draft(self, manifest: Manifest, name: str | None) -> Manifest | None:
        if name is None:
            return None
        try:
            draft = await self._lookup.manifest(name)
        except NotFound as error:
            message = f"the draft model of {manifest.name} is missing: {error.message}"
            raise NotFound(message, hint=error.hint) from None
        # A draft model set for all models is one of them.
        return None if draft.digest == manifest.digest else draft


def load_command(target: Target, placement: Placement, settings: Settings, ram_total_bytes: int) -> Load:
    """How a worker is to load `target` where `placement` says."""
    threads = settings.compute_threads
    own = settings.of(target.name)
    prefix_ram_bytes = own.prefix_ram_bytes
    if prefix_ram_bytes is None:
        prefix_ram_bytes = min(_MOST_PREFIX_RAM_BYTES, ram_total_bytes // 16)
    instance = target.instance
    return Load(
        model_path=str(target.path),
        context_length=placement.context_length,
        slots=placement.slots,
        gpu_layers=placement.gpu_layers,
        threads=threads,
        prefill_threads=settings.prefill_threads or threads,
        prefill_step_s=settings.prefill_step_s,
        kv_type_k=instance.kv_type_k,
        kv_type_v=instance.kv_type_v,
        flash_attention=instance.flash_attention,
        speculation=own.speculation,
        draft_path=str(target.draft_path) if target.draft_path else None,
        has_head=target.has_head,
        prefix_ram_bytes=0 if instance.is_embedding else prefix_ram_bytes,
        prefix_disk_path=None if instance.is_embedding else str(target.prefix_path),
        prefix_disk_bytes=0 if instance.is_embedding else own.prefix_disk_bytes,
        measurements_path=str(target.measurements),
        is_embedding=instance.is_embedding,
    )


def _instance(manifest: Manifest, settings: ModelSettings, ask: Ask, draft: Manifest | None) -> Instance:
    if ask.is_embedding:
        return Instance(manifest.digest, is_embedding=True)
    return Instance(
        digest=manifest.digest,
        kv_type_k=settings.kv_types.k,
        kv_type_v=settings.kv_types.v,
        flash_attention=settings.flash_attention,
        draft_digest=draft.digest if draft else None,
    )


def _wish(settings: ModelSettings, instance: Instance, ask: Ask) -> Wish:
    return Wish(
        context_length=settings.context_length,
        least_context_length=ask.least_context_length,
        slots=_TEXTS_TOGETHER if instance.is_embedding else settings.num_parallel,
        gpu_layers=settings.gpu_layers,
        kv=KvTypes(instance.kv_type_k, instance.kv_type_v),
        flash_attention=instance.flash_attention,
        is_embedding=instance.is_embedding,
    )
