"""What a request means: which variants there are, what they are called, and which is the reference."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from threading import Event

import pytest

from modelstore.blobs import Digest
from modelstore.errors import NotFound, Unusable, UserError
from modelstore.manifests import Manifests
from modelstore.pull import pull
from modelstore.quantize import Request, quantize
from modelstore.sources.huggingface import HubOptions
from modelstore.sources.remote import RemoteFile
from modelstore.store import Store
from runner.compare.entry import Made
from runner.compare.selection import Selection, hub_selection, local_selection
from runner.compare.shelf import Shelf
from runner.wire.compare import CompareRequest
from tests.tiny_gguf import write_model


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Store:
    """`tiny` in F16, Q8_0 and Q6_K, and `bytes`, another model, whose rows are too short for k-quants."""
    folder = tmp_path_factory.mktemp("selection")
    store = Store(folder / "store")
    pull(store, str(tiny_model), "tiny", HubOptions(), lambda _: None, Event())
    for label in ("Q8_0", "Q6_K"):
        quantize(store, Request("tiny", label), lambda _: None, Event())
    pull(store, str(write_model(folder / "bytes.gguf")), "bytes", HubOptions(), lambda _: None, Event())
    return store


def local(store: Store, **fields: object) -> Selection:
    request = CompareRequest.model_validate({"name": "tiny", **fields})
    return local_selection(Shelf(store), request)


def names(selection: Selection) -> list[str]:
    return [selection.reference.name, *(each.name for each in selection.candidates)]


def test_all_files_of_a_model_are_held_against_the_most_precise(store: Store) -> None:
    assert names(local(store, name="tiny:q8_0")) == ["F16", "Q8_0", "Q6_K"]


@pytest.mark.parametrize(
    "words, expected",
    [
        (["q6_k", "Q4_0"], ["F16", "Q6_K", "Q4_0"]),
        (["tiny:q8_0", "bytes"], ["F16", "Q8_0", "F32"]),
        # Whatever way it is named, and however often.
        (["Q4_0", "q4_0", "Q8_0", "tiny:q8_0"], ["F16", "Q4_0", "Q8_0"]),
        (["F16", "Q8_0"], ["F16", "Q8_0"]),
    ],
)
def test_labels_mean_files_that_are_here_or_can_be_made(
    store: Store, words: list[str], expected: list[str]
) -> None:
    found = local(store, quants=words)
    assert names(found) == expected and not found.failed
    made = [each for each in found.candidates if isinstance(each.origin, Made)]
    assert [each.label for each in made] == (["Q4_0"] if "Q4_0" in expected else [])


def test_a_label_is_first_what_people_call_a_file_and_then_what_it_holds(store: Store) -> None:
    folder = store.root.parent / "labels"
    shutil.copytree(store.root, folder)
    labelled = Store(folder)
    for label in ("Q4_K_M", "Q5_0"):
        quantize(labelled, Request("bytes", label), lambda _: None, Event())
        book = Shelf(labelled).book(f"bytes:{label}")
        assert (book.label, book.header.quantization) == (label, "Q5_0")
        for word in (label, label.lower()):
            found = local(labelled, name="bytes", quants=[word]).candidates
            assert [each.name for each in found] == [label]
            assert [each.tag for each in found] == [f"bytes:{label.lower()}"]


def test_what_cannot_be_had_is_kept_with_its_reason(store: Store) -> None:
    failed = dict(local(store, quants=["Q8_0", "f32", "Q9_Z"]).failed)
    assert isinstance(failed["f32"], Unusable) and "no better than tiny" in failed["f32"].message
    assert "neither a quantization nor a local model" in failed["Q9_Z"].message


def test_a_word_without_a_file_is_not_taken_for_the_reference_of_that_label(store: Store) -> None:
    found = local(store, reference="bytes", quants=["Q8_0", "F32"])
    assert names(found) == ["bytes:latest", "Q8_0"] and [word for word, _ in found.failed] == ["F32"]


def test_a_file_under_two_names_is_measured_once(store: Store) -> None:
    folder = store.root.parent / "copies"
    shutil.copytree(store.root, folder)
    copied = Store(folder)
    copied.copy("tiny", "copy")
    copied.copy("tiny:q8_0", "copy:q8")
    found = local(copied, reference="copy", quants=["tiny", "tiny:q8_0", "Q6_K", "copy:q8"])
    assert names(found) == ["F16", "Q8_0", "Q6_K"] and found.reference.tag == "copy:latest"
    assert found.notes == (
        "tiny:latest is copy:latest by another name",
        "copy:q8 is tiny:q8_0 by another name",
    )
    with pytest.raises(UserError, match="tiny:latest is copy:latest by another name"):
        local(copied, reference="copy", quants=["tiny"])


@pytest.mark.parametrize(("label", "own"), [("Q8_0", "own (about 0.001 to 0.005 nats)"), ("Q6_K", "own")])
def test_only_of_a_q8_0_reference_is_it_known_what_it_lost(store: Store, label: str, own: str) -> None:
    (note,) = local(store, reference=label, quants=["Q4_K_M"]).notes
    assert f"{own} come on top" in note


@pytest.mark.parametrize("words", [["F16"], ["Q9_Z"], []])
def test_a_reference_alone_is_nothing_to_compare(store: Store, words: list[str]) -> None:
    with pytest.raises(UserError, match="nothing to compare"):
        local(store, quants=words)


def test_the_only_file_of_a_model_is_quantized(store: Store) -> None:
    found = local(store, name="bytes")
    assert names(found) == ["F32", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M"]
    assert all(isinstance(each.origin, Made) for each in found.candidates) and "only file" in found.notes[0]


def offered(*labels: str) -> list[RemoteFile]:
    def fetch(*_: object) -> None:
        raise AssertionError("selecting fetches nothing")

    files = [PurePosixPath(f"a.{label}.gguf") for label in labels]
    return [
        RemoteFile(f"hf.co/me/model:{label}", file.name, 10, Digest.parse(f"sha256:{number:064}"), fetch)
        for number, (label, file) in enumerate(zip(labels, files, strict=True))
    ]


def hub(store: Store, *labels: str, **fields: object) -> Selection:
    request = CompareRequest.model_validate({"name": "me/model", **fields})
    return hub_selection(request, offered(*labels), Shelf(store))


def test_files_of_a_repository(store: Store) -> None:
    found = hub(store, "Q4_K_M", "BF16", "Q8_0", quants=["q8_0", "Q8_0", "Q2_K"])
    assert names(found) == ["BF16", "Q8_0"] and isinstance(found.reference.origin, RemoteFile)
    assert [(word, error.hint) for word, error in found.failed] == [("Q2_K", "There is: BF16, Q4_K_M, Q8_0.")]
    for word in ("q4_k_m", "hf.co/me/model:Q4_K_M"):
        assert hub(store, "Q4_K_M", "Q8_0", reference=word).reference.name == "Q4_K_M"


def test_of_a_repository_what_is_here_is_not_fetched_unless_it_is_damaged(
    store: Store, tmp_path: Path
) -> None:
    shutil.copytree(store.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    here = replace(store.get("tiny:q8_0"), name="hf.co/me/model:Q8_0")
    Manifests(store.root / "manifests").put(here)
    (file,) = offered("Q8_0")
    files = [*offered("F16"), replace(file, digest=Digest.parse(here.digest), size_bytes=here.size_bytes)]

    def origins() -> list[bool]:
        found = hub_selection(CompareRequest(name="me/model"), files, Shelf(store))
        return [isinstance(each.origin, RemoteFile) for each in (found.reference, *found.candidates)]

    assert origins() == [True, False]
    store.check(here).unlink()
    assert origins() == [True, True]


def test_a_repository_without_anything_to_compare_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="no Q2_K"):
        hub(store, "Q8_0", "Q4_0", reference="Q2_K")
    for labels, fields in ((("Q8_0",), {}), ((), {}), (("Q8_0", "Q4_0"), {"quants": ["Q2_K"]})):
        with pytest.raises(UserError, match="nothing to compare"):
            hub(store, *labels, **fields)
