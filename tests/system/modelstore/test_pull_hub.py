"""Pulls from a hub that is honest, broken or hostile, over real sockets."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import psutil
import pytest

from modelstore.download import Policy
from modelstore.errors import (
    DigestMismatch,
    InvalidModel,
    InvalidName,
    NotFound,
    SourceUnavailable,
    StorageFull,
    Unusable,
    UserError,
)
from modelstore.manifests import Manifest
from modelstore.partial import Partial
from modelstore.progress import Cancelled, Progress
from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from tests.system.modelstore import hub
from tests.system.modelstore.hub import Answer, Hub

MODEL = (Path(__file__).parents[2] / "data" / "nybble-tiny-draft-f16.gguf").read_bytes()
SIZE = len(MODEL)
FILE = "model-F16.gguf"
HALF = SIZE // 2
FAST = Policy(attempts=3, backoff_s=0.001, max_backoff_s=0.001, stall_s=30, progress_bytes=SIZE)
TOKEN = "hf_secret"


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub.serve({FILE: MODEL, "README.md": b"hello"}) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


class Puller:
    def __init__(self, store: Store, server: Hub) -> None:
        self.store = store
        self.options = HubOptions(endpoint=server.url, token=TOKEN, policy=FAST)
        self.seen: list[Progress] = []
        self.cancelled = Event()

    def __call__(self, name: str = "me/model", alias: str | None = None) -> Manifest:
        return pull(self.store, name, alias, self.options, self.seen.append, self.cancelled)

    def partial_bytes(self) -> int | None:
        """Size of the one partial; None if there is none."""
        sizes = [path.stat().st_size for path in self.store.root.glob("partial/*.partial")]
        assert len(sizes) <= 1
        return sizes[0] if sizes else None


@pytest.fixture
def puller(store: Store, server: Hub) -> Puller:
    return Puller(store, server)


def test_a_pull_publishes_the_file_with_progress(puller: Puller, server: Hub) -> None:
    manifest = puller()
    assert manifest.name == "hf.co/me/model:F16" and manifest.source == "huggingface: me/model"
    assert manifest.digest == "sha256:" + hashlib.sha256(MODEL).hexdigest()
    assert puller.store.check(manifest).read_bytes() == MODEL
    phases = list(dict.fromkeys(each.phase for each in puller.seen))
    assert phases == ["resolving", "downloading", "verifying", "writing manifest"]
    downloads = [each for each in puller.seen if each.phase == "downloading"]
    assert (downloads[0].completed_bytes, downloads[-1].completed_bytes) == (0, SIZE)
    assert {each.total_bytes for each in downloads} == {SIZE}
    assert [path.suffix for path in puller.store.root.glob("partial/*")] == [".lock"]


@pytest.mark.parametrize(
    "name", ["me/model", "ME/Model:f16", "hf.co/me/model", "huggingface.co/me/model:latest"]
)
def test_every_spelling_finds_the_pulled_model(puller: Puller, name: str) -> None:
    manifest = puller()
    assert puller.store.get(name) == manifest


def test_what_is_here_is_not_fetched_again(puller: Puller, server: Hub) -> None:
    puller()
    assert puller(alias="mine").name == "mine:latest"
    assert len(server.file_requests) == 1
    assert len(list(puller.store.root.glob("blobs/*"))) == 1


@pytest.mark.parametrize(
    ("files", "tag", "expected"),
    [
        (["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-F16.gguf"], None, "m-Q4_K_M.gguf"),
        (["m-F16.gguf", "m-Q8_0.gguf"], None, "m-Q8_0.gguf"),
        (["a.gguf", "b.gguf"], None, "a.gguf"),
        (["mmproj-F16.gguf", "m-IQ2_XXS.gguf"], None, "m-IQ2_XXS.gguf"),
        (["m.Q4_K_S.gguf", "m.Q4_K_M.gguf"], "q4_k_s", "m.Q4_K_S.gguf"),
        (["m-Q4_K_M.gguf", "sub/m-UD-Q4_K_XL.gguf"], "UD-Q4_K_XL", "sub/m-UD-Q4_K_XL.gguf"),
        (["m-Q4_K_M.gguf", "n-Q4_K_M.gguf"], "n-Q4_K_M.gguf", "n-Q4_K_M.gguf"),
        (
            ["Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf", "m-F16.gguf"],
            None,
            "m-F16.gguf",
        ),
    ],
)
def test_the_file_is_chosen_by_quantization(
    puller: Puller, server: Hub, files: list[str], tag: str | None, expected: str
) -> None:
    server.files = dict.fromkeys(files, MODEL)
    manifest = puller("me/model" + (f":{tag}" if tag else ""))
    assert server.file_requests[0].path.endswith(f"/resolve/abc123/{expected}")
    assert puller.store.get("me/model" + (f":{tag}" if tag else "")) == manifest


@pytest.mark.parametrize(
    ("files", "tag", "error", "text"),
    [
        (["m-Q8_0.gguf"], "Q4_K_M", NotFound, "has no Q4_K_M"),
        (["model.safetensors"], None, NotFound, "no GGUF"),
        (["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"], "Q8_0", Unusable, "split"),
        (["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"], None, Unusable, "split"),
        (["../m-Q8_0.gguf", "a/../../m-Q4_0.gguf", "/m-F16.gguf"], None, NotFound, "no GGUF"),
        (["c:\\m-F16.gguf", "m\x1b[2J-F16.gguf", "m\n-F16.gguf"], None, NotFound, "no GGUF"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    puller: Puller, server: Hub, files: list[str], tag: str | None, error: type[Exception], text: str
) -> None:
    server.files = dict.fromkeys(files, MODEL)
    with pytest.raises(error, match=text):
        puller("me/model" + (f":{tag}" if tag else ""))
    assert server.file_requests == [] and puller.partial_bytes() is None


def test_a_broken_connection_is_resumed_where_it_ended(puller: Puller, server: Hub) -> None:
    server.answers.extend([Answer(cut_after=HALF), Answer(cut_after=1000)])
    puller()
    assert server.ranges() == [None, f"bytes={HALF}-", f"bytes={HALF + 1000}-"]
    assert [each.headers.get("if-range") for each in server.file_requests] == [None, '"v1"', '"v1"']


def test_a_failed_pull_keeps_its_partial_and_the_next_goes_on(puller: Puller, server: Hub) -> None:
    server.answers.extend([Answer(cut_after=HALF), Answer(503), Answer(503, {"Retry-After": "0"})])
    with pytest.raises(SourceUnavailable, match=r"3 times.*503") as caught:
        puller()
    assert caught.value.hint and puller.partial_bytes() == HALF
    assert puller.store.models() == [] and list(puller.store.root.glob("blobs/*")) == []
    manifest = puller()
    assert server.ranges()[-1] == f"bytes={HALF}-"
    assert puller.store.check(manifest).read_bytes() == MODEL


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(heeds_range=False), id="ignores the range"),
        pytest.param(Answer(etag='"v2"'), id="has another version, and says so"),
    ],
)
def test_a_whole_file_where_a_part_was_asked_for_is_taken_as_such(
    puller: Puller, server: Hub, answer: Answer
) -> None:
    server.answers.extend([Answer(cut_after=HALF), answer])
    manifest = puller()
    assert puller.store.check(manifest).read_bytes() == MODEL
    assert server.ranges() == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(206, body=MODEL, content_range=f"bytes 0-{SIZE - 1}/{SIZE}"), id="another range"),
        pytest.param(Answer(content_range=f"bytes {HALF}-{SIZE - 2}/{SIZE}"), id="too little"),
        pytest.param(Answer(content_range=f"bytes {HALF}-{SIZE - 1}/{SIZE + 1}"), id="of a larger file"),
        pytest.param(Answer(content_range="bytes */*"), id="no range"),
        pytest.param(Answer(etag='"v2"', heeds_if_range=False), id="another version"),
        pytest.param(Answer(etag=None, heeds_if_range=False), id="no version"),
        pytest.param(Answer(416), id="out of range"),
    ],
)
def test_a_part_that_does_not_surely_follow_is_never_appended(
    puller: Puller, server: Hub, answer: Answer
) -> None:
    server.answers.extend([Answer(cut_after=HALF), answer])
    manifest = puller()
    assert puller.store.check(manifest).read_bytes() == MODEL
    assert server.ranges() == [None, f"bytes={HALF}-", None]


def test_without_a_strong_validator_a_download_starts_over(puller: Puller, server: Hub) -> None:
    server.answers.extend([Answer(cut_after=HALF, etag='W/"v1"'), Answer(cut_after=HALF, etag=None)])
    puller()
    assert server.ranges() == [None, None, None]


def test_wrong_bytes_are_thrown_away(puller: Puller, server: Hub) -> None:
    server.answers.append(Answer(body=MODEL[:-1] + b"?"))
    with pytest.raises(DigestMismatch, match="other bytes"):
        puller()
    assert puller.partial_bytes() is None and puller.store.models() == []
    puller()


def test_a_resumed_download_with_wrong_bytes_is_tried_from_the_start(puller: Puller, server: Hub) -> None:
    server.answers.extend([Answer(body=b"?" + MODEL[1:], cut_after=HALF), Answer(503), Answer(503)])
    with pytest.raises(SourceUnavailable):
        puller()
    puller()
    assert server.ranges()[-2:] == [f"bytes={HALF}-", None]


def test_never_more_than_the_stated_size(puller: Puller, server: Hub) -> None:
    server.answers.append(Answer(body=MODEL + b"x"))
    with pytest.raises(SourceUnavailable, match="instead of the stated"):
        puller()
    server.answers.append(Answer(body=MODEL + b"x", states_length=False))
    with pytest.raises(SourceUnavailable, match="more bytes than the stated"):
        puller()
    assert puller.partial_bytes() is None


def test_a_page_of_somebody_in_between_costs_nothing_of_what_is_here(puller: Puller, server: Hub) -> None:
    server.answers.extend([Answer(cut_after=HALF), Answer(body=b"<title>Log in</title>", etag='"page"')])
    with pytest.raises(SourceUnavailable, match="21 bytes instead of the stated"):
        puller()
    assert puller.partial_bytes() == HALF
    puller()
    assert server.ranges()[-1] == f"bytes={HALF}-"


def test_who_is_cancelled_while_what_is_here_is_read_leaves_it_closed(tmp_path: Path) -> None:
    path, cancelled = tmp_path / "some.partial", Event()
    with Partial(path, cancelled) as partial:
        partial.restart('"v1"')
        partial.write(MODEL)
    cancelled.set()
    with pytest.raises(Cancelled):
        Partial(path, cancelled)
    assert str(path) not in [each.path for each in psutil.Process().open_files()]


def test_an_encoded_body_is_refused(puller: Puller, server: Hub) -> None:
    server.answers.append(Answer(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(SourceUnavailable, match="encoded"):
        puller()
    assert server.file_requests[0].headers["accept-encoding"] == "identity"


def test_a_redirect_is_followed_without_the_token(puller: Puller, server: Hub) -> None:
    with hub.serve({FILE: MODEL}) as cdn:
        target = f"{cdn.url}/me/model/resolve/abc123/{FILE}?signature=1"
        server.answers.append(Answer(302, {"Location": target}, body=b""))
        puller()
        assert "authorization" not in cdn.requests[0].headers and "cookie" not in cdn.requests[0].headers
    assert {request.headers.get("authorization") for request in server.requests} == {f"Bearer {TOKEN}"}


def test_a_listing_that_redirects_elsewhere_does_not_take_the_token_along(
    puller: Puller, server: Hub
) -> None:
    with hub.serve({FILE: MODEL}) as other:
        server.listing = Answer(302, {"Location": f"{other.url}/api/models/me/model"}, body=b"")
        puller()
        assert other.requests and "authorization" not in other.requests[0].headers


def test_an_expired_signed_address_is_renewed_at_the_origin(puller: Puller, server: Hub) -> None:
    with hub.serve({FILE: MODEL}) as cdn:
        target = f"{cdn.url}/me/model/resolve/abc123/{FILE}"
        server.answers.extend([Answer(302, {"Location": target}, body=b"")] * 2)
        cdn.answers.append(Answer(403))
        puller()
    assert len(server.file_requests) == 2


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pass@127.0.0.1/x"],
)
def test_redirects_elsewhere_are_refused(puller: Puller, server: Hub, location: str) -> None:
    server.answers.append(Answer(302, {"Location": location}, body=b""))
    with pytest.raises(SourceUnavailable, match=r"redirects|302"):
        puller()


def test_a_redirect_loop_ends(puller: Puller, server: Hub) -> None:
    server.answers.extend([Answer(302, {"Location": f"/me/model/resolve/abc123/{FILE}"}, body=b"")] * 30)
    with pytest.raises(SourceUnavailable, match="more than 10 times"):
        puller()
    assert len(server.file_requests) == 11


def test_a_stalled_connection_is_given_up_and_resumed(puller: Puller, server: Hub) -> None:
    puller.options = replace(puller.options, policy=replace(FAST, stall_s=1))
    server.answers.append(Answer(stall_after=HALF))
    puller()
    assert server.ranges() == [None, f"bytes={HALF}-"]


def test_cancelling_takes_effect_while_the_server_is_silent(puller: Puller, server: Hub) -> None:
    server.answers.extend([Answer(cut_after=HALF), Answer(stall_after=0)])

    def cancel() -> None:
        server.stalled.wait()
        puller.cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        puller()
    thread.join()
    assert puller.partial_bytes() == HALF and puller.store.models() == []
    puller.cancelled.clear()
    puller()
    assert server.ranges()[2] == f"bytes={HALF}-"


def test_a_file_that_is_no_gguf_is_never_published(puller: Puller, server: Hub) -> None:
    server.files = {"m-Q4_0.gguf": b"PK\x03\x04" + bytes(1000)}
    with pytest.raises(InvalidModel):
        puller()
    assert puller.partial_bytes() is None and list(puller.store.root.glob("blobs/*")) == []


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(puller: Puller, server: Hub) -> None:
    server.stated[FILE] = {"size": 10**15}
    with pytest.raises(StorageFull, match="Needs 1,000,000,000"):
        puller()
    assert server.file_requests == []


@pytest.mark.parametrize(
    "lfs",
    [
        {"sha256": "../../evil"}, {"sha256": "A" * 64}, {"sha256": 5}, {"sha256": None}, {"size": -1},
        {"size": "5"}, {"size": 2**80}, {"sha256": "a" * 64 + "\n"},
    ],
)  # fmt: skip
def test_senseless_sizes_and_digests_are_refused(puller: Puller, server: Hub, lfs: dict[str, object]) -> None:
    server.stated[FILE] = lfs
    with pytest.raises((SourceUnavailable, StorageFull)):
        puller()
    assert server.file_requests == [] and puller.partial_bytes() is None


@pytest.mark.parametrize(
    ("listing", "error", "text"),
    [
        (Answer(401, {"X-Error-Code": "RepoNotFound"}), NotFound, "no repository"),
        (Answer(403, {"X-Error-Code": "GatedRepo"}), SourceUnavailable, "terms"),
        (Answer(500), SourceUnavailable, "500"),
        (Answer(429), SourceUnavailable, "429"),
        (Answer(body=b"<html>Please log in</html>"), SourceUnavailable, "does not answer like a hub"),
        (Answer(body=b"[1, 2]"), SourceUnavailable, "does not answer like a hub"),
        (
            Answer(body=b'{"id": "me/model", "siblings": [5]}'),
            SourceUnavailable,
            "does not answer like a hub",
        ),
        (Answer(body=b'{"id": "me/model", "siblings": [{"rfilename": 5}]}'), NotFound, "no GGUF"),
        (Answer(body=b'{"id": "me/model"}'), NotFound, "no GGUF"),
    ],
)
def test_a_hub_that_cannot_help_is_understood(
    puller: Puller, server: Hub, listing: Answer, error: type[Exception], text: str
) -> None:
    server.listing = listing
    with pytest.raises(error, match=text):
        puller()


def test_a_hub_that_is_not_there_and_one_that_may_not_be_asked(puller: Puller, server: Hub) -> None:
    puller.options = replace(puller.options, offline=True)
    with pytest.raises(SourceUnavailable, match="offline mode"):
        puller()
    assert server.requests == []
    puller.options = replace(puller.options, offline=False, endpoint="http://127.0.0.1:1")
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        puller()


def test_names_without_a_source_are_refused(puller: Puller, server: Hub) -> None:
    with pytest.raises(NotFound) as caught:
        puller("smolm2")
    assert "smollm2:135m" in (caught.value.hint or "")
    with pytest.raises(UserError, match="Ollama registry"):
        puller("ollama:llama3.2")
    with pytest.raises(InvalidName):
        puller("me/mod--el")
    assert server.requests == []


def test_two_pulls_of_one_file_fetch_it_once(puller: Puller, server: Hub, store: Store) -> None:
    names: list[str] = []
    pulls = [
        threading.Thread(target=lambda alias=alias: names.append(Puller(store, server)(alias=alias).name))
        for alias in ("one", "two", "three")
    ]
    for each in pulls:
        each.start()
    for each in pulls:
        each.join()
    assert sorted(names) == ["one:latest", "three:latest", "two:latest"]
    assert len(server.file_requests) == 1
