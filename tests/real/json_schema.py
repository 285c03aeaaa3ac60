"""The published JSON Schema test suite against constraints, and the page about it.

    python -m tests.real.json_schema

writes docs/json-schema.md; a test fails when the file is not what this writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from native import guidance
from native.llama import Model
from native.vocabulary import reading
from runner.errors import InvalidConstraint
from runner.prep.constraints import compiled

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "json-schema.md"
TINY_MODEL = ROOT / "tests" / "data" / "nybble-tiny-f16.gguf"
# Its source distribution carries the suite.
PACKAGE = "jsonschema==4.26.0"
DRAFT = "json/tests/draft2020-12/"

HEAD = """# JSON Schema

What becomes of the published test suite's cases (draft 2020-12) when their schemas are constraints. This
page is written by `python -m tests.real.json_schema`, and a test checks that it is fresh.

A schema with a keyword that cannot be enforced is refused with that keyword's name: what is not refused
holds, so that the column of *wrong* instances that can be written must be zeros. A constraint may write
less than its schema allows: properties come in the schema's order, whole numbers without a fraction (`1`,
not `1.0`), and a `format` is enforced. Instances are *right* or *wrong* by the suite.

| file | right, can be written | right, cannot | wrong, can be written | wrong, cannot | schemas | refused |
|---|---|---|---|---|---|---|
"""


@dataclass(slots=True)
class Outcome:
    """Of one file of the suite: cases by (is valid, can be written), schemas, and why some were refused."""

    cases: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    used: int = 0
    refused: int = 0
    reasons: set[str] = field(default_factory=set)


def main() -> None:
    PAGE.write_text(page(results()), "utf-8")


def page(outcomes: dict[str, Outcome]) -> str:
    keys = [(True, True), (True, False), (False, True), (False, False)]
    lines = []
    for name, outcome in outcomes.items():
        cells = [outcome.cases[key] for key in keys] + [outcome.used, outcome.refused]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    totals = [sum(outcome.cases[key] for outcome in outcomes.values()) for key in keys]
    totals += [sum(o.used for o in outcomes.values()), sum(o.refused for o in outcomes.values())]
    lines.append(f"| **all** | {' | '.join(f'**{total}**' for total in totals)} |")
    reasons = sorted(set[str]().union(*(outcome.reasons for outcome in outcomes.values())))
    lines += ["", "Why schemas were refused:", "", *(f"* {reason}" for reason in reasons), ""]
    return HEAD + "\n".join(lines)


def results() -> dict[str, Outcome]:
    model = Model(TINY_MODEL, 0)
    tokenizer = next(filter(None, reading(model)))

    def can_be_written(grammar: str, instance: object) -> bool:
        text = json.dumps(instance, ensure_ascii=False)
        matcher = guidance.matcher(tokenizer, grammar)
        tokens = model.tokenize(text, add_special=False, parse_special=False)
        return matcher.consume_tokens(tokens) and matcher.is_accepting()

    outcomes: dict[str, Outcome] = {}
    for name, groups in suite():
        outcome = outcomes[name] = Outcome()
        for group in groups:
            try:
                grammar = compiled("json_schema", json.dumps(group["schema"]))
            except InvalidConstraint as error:
                outcome.refused += 1
                outcome.reasons |= set(_reasons(error.message))
                continue
            outcome.used += 1
            for case in group["tests"]:
                outcome.cases[case["valid"], can_be_written(grammar, case["data"])] += 1
    model.close()
    return outcomes


def _reasons(message: str) -> Iterator[str]:
    unsupported = "JSON Schema keywords that are not supported: "
    if message.startswith(unsupported):
        yield from (f"`{keyword}`" for keyword in message.removeprefix(unsupported).split(", "))
    elif message.startswith("Resource "):
        yield "`$ref` to another document"
    elif message.startswith("oneOf "):
        yield "`oneOf` whose branches may both match"
    elif message.startswith("patternProperty "):
        yield "`patternProperties` that may both match one name"
    elif message.startswith("Unknown format: "):
        yield f"`format` {message.removeprefix('Unknown format: ')}"
    else:
        yield message.splitlines()[0]


def suite() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """File names without their ending, and the groups of cases in them."""
    with tarfile.open(_package()) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name.lower()):
            folder, _, name = member.name.partition(f"/{DRAFT}")
            if (
                folder
                and name.endswith(".json")
                and "/" not in name
                and (content := archive.extractfile(member))
            ):
                yield name.removesuffix(".json"), json.load(content)


def _package() -> Path:
    """The package's source, downloaded once per machine."""
    folder = Path(platformdirs.user_cache_dir("nybble-tests")) / PACKAGE.replace("==", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not list(folder.glob("*.tar.gz")):
            options = ["--no-deps", "--no-binary", PACKAGE.split("==")[0]]
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                *options,
                "--dest",
                str(folder),
                PACKAGE,
            ]
            subprocess.run(command, check=True, timeout=240)
    return next(folder.glob("*.tar.gz"))


if __name__ == "__main__":
    main()
