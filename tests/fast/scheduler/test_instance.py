from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner.instance import Instance, digest_of, prefix_path, remove_prefixes, remove_stale_prefixes

PLAIN = Instance("sha256:" + "a" * 64)
VARIANTS = (
    replace(PLAIN, is_embedding=True),
    replace(PLAIN, kv_type_k="q8_0"),
    replace(PLAIN, kv_type_v="q8_0"),
    replace(PLAIN, kv_type_k="q8_0", kv_type_v="q8_0"),
    replace(PLAIN, flash_attention="off"),
    replace(PLAIN, draft_digest="sha256:" + "b" * 64),
)


def test_each_variant_has_a_key_of_its_own_that_tells_the_weights() -> None:
    assert PLAIN.key == PLAIN.digest
    assert len({each.key for each in (PLAIN, *VARIANTS)}) == len(VARIANTS) + 1
    assert {digest_of(each.key) for each in VARIANTS} == {PLAIN.digest}
    assert [each.variant for each in VARIANTS[:3]] == ["embedding", "KV q8_0/f16", "KV f16/q8_0"]


def test_prefixes_are_apart_by_instance_and_template_and_go_with_weights_and_engine(tmp_path: Path) -> None:
    folders = {prefix_path(tmp_path, each, "template") for each in (PLAIN, *VARIANTS)}
    folders.add(prefix_path(tmp_path, PLAIN, "another template"))
    assert len(folders) == len(VARIANTS) + 2
    other = prefix_path(tmp_path, replace(PLAIN, digest="sha256:" + "c" * 64), None)
    stale = other.parent.with_name("0.0.1") / other.name
    for folder in (*folders, other, stale):
        folder.mkdir(parents=True)
    remove_prefixes(tmp_path, PLAIN.digest)
    remove_stale_prefixes(tmp_path)
    assert [folder for folder in (*folders, other, stale) if folder.exists()] == [other]
