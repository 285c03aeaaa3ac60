from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner.claims import Target, load_command
from runner.instance import Instance
from runner.placement import Placement
from runner.settings import ModelSettings, Settings

PLACEMENT = Placement(4096, 2, 0, 2**30, "it fits")
RAM_BYTES = 8 * 2**30


def target(name: str, *, is_embedding: bool = False) -> Target:
    instance = Instance("sha256:" + "a" * 64, is_embedding=is_embedding)
    return Target(name, Path("weights"), 2**20, instance, Path("prefixes"), Path("measurements"))


def test_a_model_takes_its_own_settings() -> None:
    own = ModelSettings(speculation=False, prefix_ram_bytes=2**20, prefix_disk_bytes=0)
    settings = Settings(prefix_disk_bytes=2**30, models={"small:latest": own})
    loads = [
        load_command(target(name), PLACEMENT, settings, RAM_BYTES)
        for name in ("Small:latest", "other:latest")
    ]
    assert [(load.speculation, load.prefix_ram_bytes, load.prefix_disk_bytes) for load in loads] == [
        (False, 2**20, 0),
        (True, RAM_BYTES // 16, 2**30),
    ]


def test_prefill_has_threads_of_its_own_if_it_is_told_so() -> None:
    both = [Settings(threads=2), Settings(threads=2, prefill_threads=4)]
    loads = [load_command(target("small:latest"), PLACEMENT, settings, RAM_BYTES) for settings in both]
    assert [(load.threads, load.prefill_threads) for load in loads] == [(2, 2), (2, 4)]


def test_what_embeds_keeps_no_prefixes_and_a_head_is_passed_on() -> None:
    load = load_command(target("small:latest", is_embedding=True), PLACEMENT, Settings(), RAM_BYTES)
    assert (load.prefix_ram_bytes, load.prefix_disk_path, load.prefix_disk_bytes) == (0, None, 0)
    head = replace(target("small:latest"), has_head=True)
    assert load_command(head, PLACEMENT, Settings(), RAM_BYTES).has_head
