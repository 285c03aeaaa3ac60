"""Changes a store in a child process that kills itself before its n-th change of a file, for every n.

`python -m tests.system.modelstore.killing SCENARIO FOLDER` prints how often it was killed, and fails with an
assertion if the store was ever left unsound.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from pathlib import Path
from threading import Event

from modelstore.errors import NotFound
from modelstore.progress import Progress
from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Publication, Store
from tests.tiny_gguf import Shape, write_model

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.link", "os.chmod", "os.truncate", "os.rmdir"}


def ignore(progress: Progress) -> None:
    """Progress does not matter here."""


def publish(store: Store) -> None:
    file = write_model(store.blobs.partial_path("made"))
    store.publish(file, None, Publication("tag:latest", "made.gguf", "made"), ignore, Event())


def bring(store: Store) -> None:
    other = write_model(store.root.with_suffix(".gguf"), Shape(layers=1))
    pull(store, str(other), "tag", HubOptions(), ignore, Event())


def remove(store: Store) -> None:
    try:
        store.remove("tag")
    except NotFound:
        return


# What is done, and what must be there before.
SCENARIOS = {
    "publish": (publish, []),
    "import": (bring, []),
    "replace": (bring, [publish]),
    "remove": (remove, [publish]),
}


def die_before_change(number: int, root: str) -> None:
    """From now on the process is killed before it changes a file below `root` for the n-th time."""
    counter = itertools.count(1)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        changes = event in CHANGES or (event == "open" and opens_for_writing(arguments))
        if changes and root in str(arguments) and next(counter) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def opens_for_writing(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) != 0


def check(store: Store, scenario: str, action_is_done: bool) -> None:
    """Whatever is visible is whole; what was there before is there until the new is."""
    assert store.damaged() == [], store.damaged()
    manifests = store.models()
    for manifest in manifests:
        store.verify(manifest.name, ignore, Event())
    if scenario == "replace" or (action_is_done and scenario != "remove"):
        assert len(manifests) == 1
    if action_is_done:
        blobs = {path.name for path in store.root.glob("blobs/*")}
        used = {manifest.digest.replace(":", "-") for manifest in manifests}
        assert used <= blobs
        store.sweep(age_s=0)
        left = {path.name for path in store.root.glob("blobs/*")}
        assert left == (used or blobs), "whatever a kill has left goes, and nothing else"
        assert not [path for path in store.root.glob("*/*") if path.suffix in (".partial", ".tmp")]


def main(scenario: str, folder: Path) -> int:
    action, before = SCENARIOS[scenario]
    for number in itertools.count(1):
        store = Store(folder / str(number))
        for step in before:
            step(store)
        child = os.fork()
        if child == 0:
            die_before_change(number, str(store.root))
            action(store)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        is_done = status == 0
        assert is_done or os.WTERMSIG(status) == signal.SIGKILL, status
        check(store, scenario, is_done)
        action(store)
        check(store, scenario, action_is_done=True)
        if is_done:
            return number - 1
        shutil.rmtree(store.root)
    raise AssertionError


if __name__ == "__main__":
    sys.stdout.write(str(main(sys.argv[1], Path(sys.argv[2]))))
