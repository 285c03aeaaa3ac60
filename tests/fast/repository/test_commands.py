"""What the README promises is what CI runs."""

from __future__ import annotations

import os

from tests.fast.repository.test_sizes import ROOT


def test_ci_runs_the_readmes_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = script.splitlines()[-1]
    assert command.endswith(".venv/bin/pytest")
    assert f"```sh\n{command}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
