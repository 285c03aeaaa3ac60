"""Files in repositories of the Hugging Face hub. Only this module imports huggingface_hub, lazily."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from modelstore import names, progress
from modelstore.blobs import Digest
from modelstore.download import Policy, Remote, download
from modelstore.errors import InvalidName, NotFound, SourceUnavailable, Unusable
from modelstore.partial import Partial
from modelstore.sources.remote import RemoteFile, Report

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

T = TypeVar("T")

_TIMEOUT_S = 15.0
_POLL_S = 0.1
_SAFE_PATH = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[\w .,+=()\[\]@-]+(?:/[\w .,+=()\[\]@-]+)*", re.ASCII)
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_OTHER_PARTS = re.compile(r"(?:^|/)(?:mmproj|imatrix)|(?:mmproj|imatrix)[^/]*\.gguf$", re.IGNORECASE)
_LABEL = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?I?Q[1-8](?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_MOE)?|BF16|F16|F32)(?![A-Za-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class HubOptions:
    """`endpoint` and `token` None: those that the hub's own library is set up with. `offline` is the hub's
    offline mode; pip has its own."""

    endpoint: str | None = None
    token: str | None = None
    offline: bool = False
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Choice:
    """A file of a repository, and its label: the quantization that its name states."""

    path: str
    label: str | None


@dataclass(frozen=True, slots=True)
class HubSource:
    """One repository. `name` None: the model is called by repository and tag. `expected` None: any
    digest that the hub states will do."""

    ref: names.HubName
    options: HubOptions
    name: str | None = None
    expected: Digest | None = None

    @property
    def label(self) -> str:
        return f"huggingface: {self.ref.repo_id}"

    def resolve(self, cancelled: Event) -> RemoteFile:
        """What is offered now. Raises NotFound, SourceUnavailable, Unusable or Cancelled."""
        api, info = self._repository(cancelled)
        return self._file(api, info, choose(list(_siblings(info)), self.ref.tag, self.ref.repo_id))

    def files(self, cancelled: Event) -> list[RemoteFile]:
        """Every model of the repository that is one file, whatever `ref.tag` says. Raises as `resolve`."""
        api, info = self._repository(cancelled)
        # Of two files with one label the first is meant, as in `choose`.
        choices = {each.label: each for each in reversed(offered(list(_siblings(info)), self.ref.repo_id))}
        return [self._file(api, info, each) for label, each in choices.items() if label]

    def _repository(self, cancelled: Event) -> tuple[HfApi, ModelInfo]:
        if self.options.offline:
            raise SourceUnavailable(
                "the Hugging Face hub is not asked in offline mode", hint="Unset HF_HUB_OFFLINE to allow it."
            )
        from huggingface_hub import HfApi, get_token

        endpoint = self.options.endpoint.rstrip("/") if self.options.endpoint else None
        token = self.options.token or (None if endpoint else get_token())
        api = HfApi(endpoint=endpoint, token=token or False)
        return api, _interruptible(lambda: self._ask(api), cancelled)

    def _file(self, api: HfApi, info: ModelInfo, choice: Choice) -> RemoteFile:
        from huggingface_hub import hf_hub_url

        size_bytes, digest = self._facts(_siblings(info)[choice.path])
        url = hf_hub_url(self.ref.repo_id, choice.path, revision=info.sha, endpoint=api.endpoint)
        token = api.token if isinstance(api.token, str) else None
        remote = Remote(url, size_bytes, token)

        def fetch(partial: Partial, report: Report, cancelled: Event) -> None:
            download(remote, partial, self.options.policy, report, cancelled)

        return RemoteFile(
            self.name or self._full_name(choice), PurePosixPath(choice.path).name, size_bytes, digest, fetch
        )

    def _ask(self, api: HfApi) -> ModelInfo:
        """What the hub says of the repository and its files, any failure as one of our errors."""
        import httpx2  # what huggingface_hub itself speaks HTTP with, and whose errors it lets through
        from huggingface_hub import errors

        repo_id = self.ref.repo_id
        try:
            return api.model_info(repo_id, files_metadata=True, timeout=_TIMEOUT_S)
        except errors.GatedRepoError as error:
            raise SourceUnavailable(
                f"{repo_id} is open only to those who accepted its terms",
                hint="Accept them on the model's page, and set HF_TOKEN to a token of that account.",
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise NotFound(
                f"There is no repository {repo_id!r} on the hub, or it is private",
                hint="Check the spelling; for a private repository set HF_TOKEN.",
            ) from error
        except errors.HFValidationError as error:
            raise InvalidName(f"The hub has no names like {repo_id!r}") from error
        except errors.HfHubHTTPError as error:
            raise SourceUnavailable(f"the hub answered {error.response.status_code} for {repo_id}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise SourceUnavailable(
                f"the hub at {api.endpoint} cannot be reached: {error}",
                hint="Check the network and HF_ENDPOINT.",
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SourceUnavailable(f"{api.endpoint} does not answer like a hub") from error

    def _full_name(self, choice: Choice) -> str:
        """The model's full name: with the file's label unless the user named the file in another way."""
        tag, label = self.ref.tag, choice.label or names.DEFAULT_TAG
        is_label = tag is None or names.key(tag) == names.key(label)
        return str(dataclasses.replace(self.ref, tag=label if is_label else tag))

    def _facts(self, sibling: RepoSibling) -> tuple[int, Digest]:
        """Size and digest as the hub states them. SourceUnavailable if they are not those expected."""
        size_bytes = sibling.lfs.size if sibling.lfs else None
        sha256 = sibling.lfs.sha256 if sibling.lfs else None
        if not isinstance(size_bytes, int) or size_bytes <= 0 or not isinstance(sha256, str):
            raise SourceUnavailable(
                f"the hub states no size and SHA-256 of {sibling.rfilename} in {self.ref.repo_id}"
            )
        try:
            digest = Digest.parse(f"sha256:{sha256}")
        except InvalidName as error:
            raise SourceUnavailable(f"the hub states no valid SHA-256: {error.message}") from error
        if self.expected and digest != self.expected:
            raise SourceUnavailable(f"{self.ref.repo_id} has another file than the catalog expects")
        return size_bytes, digest


def choose(paths: Sequence[str], tag: str | None, repo_id: str) -> Choice:
    """The file of a repository that `tag`, a quantization or a file name, means; the preferred one without.

    Raises NotFound with what there is, or Unusable if it is split into several files.
    """
    whole = offered(paths, repo_id)
    wanted = [tag] if tag else [*names.PREFERRED_QUANTIZATIONS, *(each.path for each in whole)]
    for spelling in wanted:
        matching = [each for each in _choices(paths) if _is_called(each, spelling)]
        if found := [each for each in matching if each in whole]:
            return found[0]
        if matching and tag:
            raise Unusable(
                f"{repo_id} offers {tag} only split into several files, which cannot be pulled yet",
                hint=f"Others there: {_labels(whole)}.",
            )
    if tag:
        raise NotFound(f"{repo_id} has no {tag}", hint=f"There is: {_labels(whole)}.")
    raise Unusable(f"{repo_id} has only files split into several, which cannot be pulled yet")


def offered(paths: Sequence[str], repo_id: str) -> list[Choice]:
    """The models that are one file. Raises NotFound if there are none, also in parts."""
    choices = _choices(paths)
    if not choices:
        raise NotFound(f"{repo_id} has no GGUF files", hint="Look for a repository whose name ends in -GGUF.")
    return [each for each in choices if not _SPLIT.search(each.path)]


def _choices(paths: Sequence[str]) -> list[Choice]:
    safe = [path for path in paths if path.lower().endswith(".gguf") and _SAFE_PATH.fullmatch(path)]
    return [Choice(path, _label(path)) for path in safe if not _OTHER_PARTS.search(path)]


def _siblings(info: ModelInfo) -> dict[str, RepoSibling]:
    return {each.rfilename: each for each in info.siblings or [] if isinstance(each.rfilename, str)}


def _is_called(choice: Choice, spelling: str) -> bool:
    name = PurePosixPath(choice.path).name
    own = {choice.path, name, name[: -len(".gguf")], choice.label or name}
    return names.key(spelling) in {names.key(each) for each in own}


def _label(path: str) -> str | None:
    labels = _LABEL.findall(path)
    return labels[-1].upper() if labels else None


def _labels(choices: Sequence[Choice]) -> str:
    labels = {each.label or PurePosixPath(each.path).name for each in choices}
    return ", ".join(sorted(labels)) or "nothing else"


def _interruptible(call: Callable[[], T], cancelled: Event) -> T:
    """The result of `call`, or Cancelled at once; the thread then ends by the call's own time limit."""
    executor = concurrent.futures.ThreadPoolExecutor(1)
    try:
        future = executor.submit(call)
        while not concurrent.futures.wait([future], timeout=_POLL_S).done:
            progress.check(cancelled)
        return future.result()
    finally:
        executor.shutdown(wait=False)
