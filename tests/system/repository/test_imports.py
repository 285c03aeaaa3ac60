"""Which room may import what (contracts in pyproject.toml), and what must not be loaded at all."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.fast.repository.test_sizes import ROOT

HEAVY = [
    "textual",
    "llama_cpp",
    "huggingface_hub",
    "numpy",
    "fastapi",
    "starlette",
    "uvicorn",
    "jinja2",
    "prompt_toolkit",
]
RUN = "from runner.cli import main; import sys; sys.argv = ['nybble', {}]; main()"
HELP = RUN.format("'--help'")
# Ends where it would ask the daemon, with all that it asks and reads the answer with.
LIST = RUN.format("'list', '--no-start'")

REPORT = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr))
"""


def test_contracts_between_rooms() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as lint; lint()",
        "--no-cache",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    "code, forbidden",
    [
        (HELP, [*HEAVY, "pydantic", "runner.client"]),
        (LIST, [*HEAVY, "httpx", "anyio", "rich", "modelstore.store", "runner.cli.compare"]),
        (
            "import runner.daemon, runner.service, runner.supervisor, runner.api.app",
            [
                "llama_cpp",
                "numpy",
                "textual",
                "jinja2",
                "httpx",
                "rich",
                "runner.compare",
                "runner.wire.compare",
            ],
        ),
        ("import runner.client", [*HEAVY, "modelstore.store"]),
        ("import modelstore.pull, modelstore.quantize", ["llama_cpp", "numpy", "huggingface_hub"]),
        ("import native.llama", ["numpy", "jinja2", "diskcache"]),
        ("import runner.worker.batcher, runner.prompts, native.child", ["llama_cpp", "numpy", "jinja2"]),
    ],
)
def test_what_is_not_loaded(code: str, forbidden: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", REPORT + code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert [name for name in forbidden if name in loaded] == []
