"""What is left when a process is killed, or runs out of disk, while it changes the store."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from tests.system.modelstore import hub
from tests.system.modelstore.hub import Answer
from tests.system.modelstore.pulling import MODEL

DATA = MODEL.read_bytes()
HALF = len(DATA) // 2


def test_a_killed_download_leaves_nothing_visible_and_is_resumed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with hub.serve({"m-F16.gguf": DATA}) as server:
        server.answers.extend([Answer(cut_after=HALF), Answer(stall_after=HALF // 2)])
        command = [sys.executable, "-m", "tests.system.modelstore.pulling", "hub", str(tmp_path), server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                if int(line) > HALF:
                    break
            process.kill()
        kept_bytes = next(tmp_path.glob("partial/*.partial")).stat().st_size
        assert store.models() == [] and store.damaged() == [] and list(tmp_path.glob("blobs/*")) == []
        options = HubOptions(endpoint=server.url)
        manifest = pull(store, "me/model", None, options, lambda progress: None, Event())
        assert server.ranges() == [None, f"bytes={HALF}-", f"bytes={kept_bytes}-"]
        assert kept_bytes > HALF
    assert store.verify(manifest.name, lambda progress: None, Event()) == manifest
    assert [path.suffix for path in tmp_path.glob("partial/*")] == [".lock"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which Windows does not have")
@pytest.mark.parametrize("scenario", ["publish", "replace", "import", "remove"])
def test_a_kill_at_any_change_of_the_store_leaves_it_sound(tmp_path: Path, scenario: str) -> None:
    """`killing.py` kills itself before the first change, then before the second, and so on, and checks."""
    command = [sys.executable, "-m", "tests.system.modelstore.killing", scenario, str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) > 3, "it was killed at several places"


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_is_told_and_the_partial_is_kept(tmp_path: Path) -> None:
    """The limit on file sizes stands for the full disk: the write really fails in the kernel, half-way."""
    limited = (
        "import resource, runpy;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000000, resource.RLIM_INFINITY));"
        "runpy.run_module('tests.system.modelstore.pulling', run_name='__main__')"
    )
    with hub.serve({"m-F16.gguf": DATA}) as server:
        arguments = ["hub", str(tmp_path), server.url]
        finished = subprocess.run(
            [sys.executable, "-c", limited, *arguments], capture_output=True, text=True, check=False
        )
        assert "StorageFull: No space left to write" in finished.stderr
        assert next(tmp_path.glob("partial/*.partial")).stat().st_size == 3_000_000
        options = HubOptions(endpoint=server.url)
        manifest = pull(Store(tmp_path), "me/model", None, options, lambda progress: None, Event())
        assert server.ranges() == [None, "bytes=3000000-"]
        assert Store(tmp_path).check(manifest).read_bytes() == DATA
