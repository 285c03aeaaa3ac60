import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from modelstore.blobs import Digest
from modelstore.errors import DigestMismatch, InvalidModel, InvalidName, NotFound, StorageFull, Unusable
from modelstore.manifests import Manifest
from modelstore.progress import Cancelled, Progress, Throttle
from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Publication, Store
from tests.system.modelstore import hub

DATA = Path(__file__).parents[2] / "data"
MODEL = DATA / "nybble-tiny-draft-f16.gguf"
OTHER = DATA / "nybble-tiny-f16.gguf"


def ignore(progress: Progress) -> None:
    """For tests that look at results only."""


def add(store: Store, name: str, file: Path = MODEL) -> Manifest:
    return pull(store, str(file), name, HubOptions(), ignore, Event())


def own_copy(store: Store, name: str, folder: Path) -> Manifest:
    """A model whose blob is no link to the test data, so that it may be damaged."""
    file = folder / "copy.gguf"
    shutil.copyfile(MODEL, file)
    manifest = add(store, name, file)
    file.unlink()
    store.check(manifest).chmod(0o600)
    return manifest


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_unused_store_creates_nothing(store: Store) -> None:
    assert store.models() == []
    with pytest.raises(NotFound):
        store.get("smollm2")
    assert not store.root.exists()


def test_a_local_file_becomes_a_model_with_its_facts(store: Store) -> None:
    manifest = add(store, "Tiny:v1")
    assert store.get("TINY:V1") == manifest == Store(store.root).get("tiny:v1")
    assert (manifest.architecture, manifest.quantization, manifest.size_bytes) == ("llama", "F16", 5654656)
    assert manifest.parameter_count and manifest.context_length and manifest.embedding_length
    assert store.check(manifest).read_bytes() == MODEL.read_bytes()
    assert manifest.digest == "sha256:" + store.check(manifest).name.removeprefix("sha256-")


def test_an_imported_file_is_linked_and_left_as_it_is(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    shutil.copyfile(MODEL, file)
    file.chmod(0o644)
    path = store.check(add(store, "tiny", file))
    assert path.samefile(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert add(store, "again", file).digest == store.get("tiny").digest
    assert store.remove("again") == 0
    assert store.remove("tiny") == 0, "the user's file still holds the bytes"
    assert file.exists()
    assert [path for path in (store.root / "partial").iterdir() if path.suffix == ".partial"] == []


def test_an_import_does_not_replace_our_own_intact_copy(store: Store, tmp_path: Path) -> None:
    path = store.check(own_copy(store, "tiny", tmp_path))
    add(store, "again")
    assert not path.samefile(MODEL) and store.get("again").digest == store.get("tiny").digest


def test_a_file_without_a_name_gets_one_and_links_are_followed(store: Store, tmp_path: Path) -> None:
    link = tmp_path / "My Model.gguf"
    link.symlink_to(MODEL)
    manifest = pull(store, str(link), None, HubOptions(), ignore, Event())
    assert manifest.name == "nybble-tiny-draft-f16:latest"
    assert manifest.source == f"file: {MODEL}"


def test_a_file_is_not_taken_for_the_model_of_the_catalog_that_it_is_called_like(
    store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "gemma3.gguf"
    shutil.copy(MODEL, file)
    manifest = pull(store, str(file), None, HubOptions(), ignore, Event())
    assert manifest.name == "gemma3:file" and store.get("gemma3:file") == manifest


def test_store_files_are_for_their_owner_only(store: Store, tmp_path: Path) -> None:
    manifest = own_copy(store, "tiny", tmp_path)
    store.copy("tiny", "second")
    store.check(manifest).chmod(0o400)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [store.root, *store.root.rglob("*")]}
    assert {path.name for path, mode in modes.items() if mode & 0o077} == set()


@pytest.mark.parametrize("content", [b"", b"GGU", b"PK\x03\x04" + bytes(100), b"GGUF" + bytes(3)])
def test_what_is_no_gguf_is_refused_with_the_place(store: Store, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(content)
    with pytest.raises(InvalidModel, match="at byte"):
        add(store, "bad", file)
    assert store.models() == []
    assert list(store.root.glob("blobs/*")) == []


def test_a_truncated_gguf_is_refused(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "cut.gguf"
    file.write_bytes(MODEL.read_bytes()[:-1000])
    with pytest.raises(InvalidModel, match="at byte"):
        add(store, "cut", file)
    assert list(store.root.glob("*/*.partial")) == []


def test_missing_files_and_folders_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        add(store, "x", tmp_path / "none.gguf")
    with pytest.raises(Exception, match="not a regular file"):
        add(store, "x", tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_fifo_is_refused_without_waiting_for_a_writer(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(Exception, match="not a regular file"):
        add(store, "x", tmp_path / "pipe.gguf")
    manifest = own_copy(store, "tiny", tmp_path)
    path = store.check(manifest)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Unusable, match="not a regular file"):
        store.verify("tiny", ignore, Event())


def test_unknown_names_come_with_a_hint(store: Store) -> None:
    add(store, "my-model")
    with pytest.raises(NotFound) as caught:
        store.get("my-modle")
    assert caught.value.message == "model 'my-modle' not found"
    assert "my-model:latest" in (caught.value.hint or "")
    with pytest.raises(NotFound) as caught:
        store.get("smollm2")
    assert "nybble pull smollm2:135m" in (caught.value.hint or "")
    with pytest.raises(NotFound):
        store.get("/etc/passwd")


def test_shared_weights_stay_until_the_last_tag_goes(store: Store, tmp_path: Path) -> None:
    manifest = own_copy(store, "first", tmp_path)
    assert store.copy("FIRST", "second:v2").digest == manifest.digest
    assert [each.name for each in store.models()] == ["second:v2", "first:latest"]
    assert store.remove("first") == 0
    assert store.verify("second:v2", ignore, Event()).name == "second:v2"
    assert store.remove("second:V2") == manifest.size_bytes
    assert store.models() == [] and list(store.root.glob("blobs/*")) == []


def test_a_replaced_tag_frees_its_old_weights(store: Store) -> None:
    add(store, "tag")
    add(store, "TAG", OTHER)
    assert [each.digest for each in store.models()] == [store.get("tag").digest]
    assert len(list(store.root.glob("blobs/*"))) == 1


def test_copies_have_plain_names(store: Store) -> None:
    add(store, "tiny")
    with pytest.raises(InvalidName):
        store.copy("tiny", "../evil")
    with pytest.raises(NotFound):
        store.copy("none", "other")


def test_verify_finds_one_changed_bit_and_a_pull_repairs_it(store: Store, tmp_path: Path) -> None:
    manifest = own_copy(store, "tiny", tmp_path)
    assert store.verify("tiny", ignore, Event()) == manifest
    path = store.check(manifest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestMismatch) as caught:
        store.verify("tiny", ignore, Event())
    assert "'tiny:latest' are damaged" in caught.value.message and str(path) not in caught.value.message
    assert caught.value.hint
    with hub.serve({"model-F16.gguf": MODEL.read_bytes()}) as server:
        options = HubOptions(endpoint=server.url)
        pull(store, "me/model", "tiny", options, ignore, Event())
    assert store.verify("tiny", ignore, Event()).digest == manifest.digest


def test_missing_and_truncated_weights_are_named(store: Store, tmp_path: Path) -> None:
    manifest = own_copy(store, "tiny", tmp_path)
    path = store.check(manifest)
    os.truncate(path, 1000)
    with pytest.raises(Unusable, match="1000 bytes instead of 5654656"):
        store.check(manifest)
    path.unlink()
    with pytest.raises(Unusable, match="their file is missing") as raised:
        store.check(manifest)
    assert str(path.parent) not in raised.value.message, "where it was is of no use to anybody"
    assert store.models() == [manifest]


def test_a_link_in_place_of_a_blob_is_damage_and_its_target_stays(store: Store, tmp_path: Path) -> None:
    manifest = own_copy(store, "tiny", tmp_path)
    path = store.check(manifest)
    secret = tmp_path / "secret"
    shutil.copyfile(MODEL, secret)
    mode = secret.stat().st_mode
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(Unusable):
        store.check(manifest)
    add(store, "tiny")
    assert not path.is_symlink()
    path.unlink()
    path.symlink_to(secret)
    store.remove("tiny")
    assert secret.read_bytes() == MODEL.read_bytes() and secret.stat().st_mode == mode


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 2}', b"\xff" * 100, b" " * 100_000])
def test_an_unreadable_manifest_is_reported_and_stops_all_deleting(
    store: Store, tmp_path: Path, content: bytes
) -> None:
    manifest = own_copy(store, "good", tmp_path)
    store.copy("good", "bad")
    path = store.root / "manifests" / "bad%3Alatest.json"
    path.write_bytes(content)
    assert [each.name for each in store.models()] == ["good:latest"]
    (damaged,) = store.damaged()
    assert str(path) in damaged
    with pytest.raises(Unusable):
        store.get("bad")
    assert store.remove("good") == 0
    assert store.check(manifest).exists() and path.read_bytes() == content


def test_a_manifest_under_another_name_is_damaged(store: Store) -> None:
    add(store, "one")
    folder = store.root / "manifests"
    (folder / "one%3Alatest.json").rename(folder / "two%3Alatest.json")
    assert store.models() == []
    assert "one:latest" in store.damaged()[0]


def test_pulling_again_repairs_a_damaged_manifest(store: Store) -> None:
    add(store, "tiny")
    (store.root / "manifests" / "tiny%3Alatest.json").write_bytes(b"")
    assert add(store, "tiny") == store.get("tiny")
    assert store.damaged() == []


def test_a_sweep_takes_old_weights_without_a_tag_that_nobody_works_on(store: Store, tmp_path: Path) -> None:
    orphan = own_copy(store, "orphan", tmp_path)
    (store.root / "manifests" / "orphan%3Alatest.json").unlink()
    assert store.sweep(age_s=0) == 0, "without any manifest: they may be lost, not the weights"
    used = add(store, "tiny", OTHER)
    assert store.sweep() == 0, "it is young"
    with store.blobs.exclusive(Digest.parse(orphan.digest).hex, Event()):
        assert store.sweep(age_s=0) == 0, "a job is about to name it"
    unreadable = store.root / "manifests" / "x.json"
    unreadable.write_bytes(b"")
    assert store.sweep(age_s=0) == 0, "the unreadable manifest may be its"
    unreadable.unlink()
    assert store.sweep(age_s=0) == orphan.size_bytes
    assert [path.name for path in store.root.glob("blobs/*")] == [used.digest.replace(":", "-")]


@pytest.mark.parametrize(
    "text",
    [
        "", "sha256:", "sha256:../../x", "SHA256:" + "a" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 63,
        "sha256:" + "a" * 65, "sha512:" + "a" * 64, "sha256:" + "a" * 64 + "\n", "sha256:" + "\0" * 64,
    ],
)  # fmt: skip
def test_only_exact_digests_are_digests(store: Store, text: str) -> None:
    with pytest.raises(InvalidName):
        store.blob_path(text)


def test_a_result_of_our_own_is_published_with_its_origin(store: Store) -> None:
    file = store.blobs.partial_path("quantize-1")
    shutil.copyfile(MODEL, file)
    publication = Publication("tiny:f16", "tiny.gguf", "quantized", "MIT", "tiny:latest (Q4_1, dequantized)")
    seen: list[Progress] = []
    manifest = store.publish(file, None, publication, seen.append, Event())
    assert (manifest.derived_from, manifest.license) == ("tiny:latest (Q4_1, dequantized)", "MIT")
    assert [each.phase for each in seen][-1] == "writing manifest" and not file.exists()
    assert stat.S_IMODE(store.check(manifest).stat().st_mode) == 0o400


def test_cancelling_an_import_leaves_nothing(store: Store) -> None:
    cancelled = Event()

    def cancel(progress: Progress) -> None:
        if progress.phase == "verifying":
            cancelled.set()

    with pytest.raises(Cancelled):
        pull(store, str(MODEL), "tiny", HubOptions(), cancel, cancelled)
    assert store.models() == [] and list(store.root.glob("*/*.partial")) == []


def test_too_little_space_is_told_with_both_numbers(store: Store) -> None:
    with pytest.raises(StorageFull, match=r"Needs 1,000,000,000,000\.0 MB but only [\d,.]+ MB are free"):
        store.blobs.ensure_free(10**18)


def test_one_partial_has_one_writer(store: Store) -> None:
    digest = Digest("0" * 64)
    cancelled = Event()

    def write() -> None:
        with store.blobs.exclusive(digest.hex, cancelled):
            pass

    with ThreadPoolExecutor() as others:
        with store.blobs.exclusive(digest.hex, Event()):
            waiting = others.submit(write)
            cancelled.set()
            assert isinstance(waiting.exception(), Cancelled)
        cancelled.clear()
        assert others.submit(write).exception() is None


def test_reports_come_at_most_ten_times_a_second() -> None:
    now = 0.0
    seen: list[Progress] = []
    throttle = Throttle(seen.append, lambda: now)
    for step in range(1001):
        now = step / 1000
        throttle(Progress("downloading", completed_bytes=step, total_bytes=1000))
    throttle(Progress("verifying"))
    assert 10 <= len(seen) <= 12
    assert (seen[-2].completed_bytes, seen[-1].phase) == (1000, "verifying")
