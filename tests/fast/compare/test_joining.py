"""One table of several comparisons: only under one and the same condition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelstore.errors import Conflict
from runner.compare.joining import joined
from runner.wire.compare import Comparison
from tests.comparisons import example


def _other(**changes: Any) -> Comparison:
    """Measured an hour earlier: the reference and two variants."""
    whole = example()
    fields = {"created_at": whole.created_at - timedelta(hours=1), "variants": whole.variants[:3], **changes}
    return whole.model_copy(update=fields)


def _newer() -> Comparison:
    return example().model_copy(update={"variants": [example().variants[0], *example().variants[4:]]})


def test_one_alone_is_left_as_it_is() -> None:
    assert joined([example()]) == example()


def test_variants_of_both_stand_in_one_table() -> None:
    found = joined([_other(), _newer()])
    assert sorted(each.name for each in found.variants) == sorted(
        ["F16", "Q8_0", "Q6_K", "Q4_K_M", "Q4_K_S", "IQ4_XS", "Q2_K"]
    )
    assert (found.recommendation, found.pareto, found.ties) == (None, [], [])
    assert found.created_at == _newer().created_at


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"text": {**example().text, "stream": "sha256:0"}}, "text stream"),
        ({"text": {**example().text, "template": "sha256:0"}}, "text template"),
        ({"engine": {**example().engine, "build": "other"}}, "engine build"),
        ({"context": 4096}, "context"),
        ({"hardware": {"gpu": "RTX"}}, "hardware gpu"),
        ({"reference": "Q8_0"}, "reference"),
        (
            {"variants": [example().variants[0].model_copy(update={"settings": {"kv_type": "q8_0"}})]},
            "reference settings",
        ),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(Conflict, match=f"do not belong in one table: {named} "):
        joined([_newer(), _other(**changes)])


def test_of_another_computer_only_the_quality_is_taken() -> None:
    found = joined([_newer(), _other(hardware={"cpu": "Apple M4"})])
    by_name = {each.name: each for each in found.variants}
    assert by_name["Q8_0"].quality and by_name["Q8_0"].speed is None and by_name["Q8_0"].energy is None
    assert by_name["Q8_0"].problems == ["measured on another computer: only its quality is shown"]
    assert by_name["Q4_K_M"].speed and by_name["F16"].speed, "of both, the newer one's"


def test_files_of_one_name_are_told_apart() -> None:
    impostor = example().variants[4].model_copy(update={"digest": "sha256:" + "ab" * 32})
    found = joined([_newer(), _other(variants=[example().variants[0], impostor])])
    names = [each.name for each in found.variants if each.name.startswith("Q4_K_M")]
    assert len(names) == len(set(names)) == 2 and any("abababababab" in name for name in names)
