"""`compare selftest`: whether the ruler is straight on this computer."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from runner import exits
from runner.cli import output
from runner.cli.arguments import argument, option
from runner.cli.session import Json, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.compare.selftest import Check


def selftest(
    name: Annotated[str, argument("NAME", "Local model, best an F16 one.")],
    perplexity: Annotated[
        Path | None, option("--perplexity", "FILE", "llama-perplexity: its figures beside ours.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the measuring of quality, also beside llama-perplexity."""
    from dataclasses import asdict

    checks = []
    for check in _checks(name, perplexity):
        checks.append(check)
        if not json:
            output.write(f"{'ok    ' if check.passed else 'FAILED'}  {check.name}\n        {check.found}")
    passed = all(check.passed for check in checks)
    if json:
        output.write_json({"passed": passed, "checks": [asdict(check) for check in checks]})
    if not passed:
        raise typer.Exit(exits.FAILED)


def _checks(name: str, perplexity: Path | None) -> Iterator[Check]:
    """Raises NybbleError."""
    from modelstore.store import Store
    from native.backends import gpu_backends
    from runner.compare.selftest_run import LENGTH_TOKENS, SelfTest
    from runner.compare.variant import Engine, Variant

    session = open_session()
    layers = session.settings.most_gpu_layers if gpu_backends() else 0
    store = Store(session.paths.store)
    manifest = store.get(name)
    reference = Variant(
        name=manifest.name,
        path=store.check(manifest),
        digest=manifest.digest,
        size_bytes=manifest.size_bytes,
        tag=manifest.name,
        engine=Engine(LENGTH_TOKENS, session.settings.compute_threads, layers),
    )
    return SelfTest(reference, perplexity, output.say, Event()).checks()
