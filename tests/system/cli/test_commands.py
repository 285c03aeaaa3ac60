"""The commands on a small real model, as users type them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from runner import exits
from tests.commands import Finished, nybble, nybble_here, start
from tests.daemons import NYBBLE, Daemon
from tests.tiny_gguf import write_model

GREEDY = ("-o", "temperature=0", "-o", "max_tokens=12")


def ok(result: Finished) -> str:
    """stdout of a command that worked."""
    assert result.code == 0, result.stderr
    return result.stdout


def cells(stdout: str) -> list[list[str]]:
    return [line.split() for line in stdout.splitlines()]


def test_life_of_a_model(home: Path, tiny_model: Path) -> None:
    ok(nybble("pull", str(tiny_model), "--as", "tiny"))
    header, row = cells(ok(nybble_here("list")))
    assert header == ["NAME", "ID", "SIZE", "MODIFIED"]
    (listed,) = json.loads(ok(nybble_here("list", "--json")))
    assert row[0] == listed["name"] == "tiny:latest"
    assert listed["digest"].startswith(f"sha256:{row[1]}")
    assert listed["size_bytes"] == tiny_model.stat().st_size

    ok(nybble_here("cp", "tiny", "second"))
    assert {row[0] for row in cells(ok(nybble_here("list")))[1:]} == {"tiny:latest", "second:latest"}
    verified = nybble_here("verify", "second")
    assert verified.code == 0 and listed["digest"] in verified.stderr

    ok(nybble_here("rm", "tiny", "second"))
    assert ok(nybble_here("list", "--json")) == "[]\n"


def test_relative_home_is_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYBBLE_HOME", "home")
    monkeypatch.chdir(tmp_path)
    ok(nybble_here("list"))
    assert (tmp_path / "home" / "runtime" / "daemon.json").exists()


def test_text_in_other_encodings_is_taken_and_printed(shared: Daemon, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in arguments and on stdin; letters that stdout's encoding does not have."""
    command = (*NYBBLE, "run", "tiny", b"caf\xe9", *GREEDY)
    done = subprocess.run(command, input=b"\xff\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "daemon.log").write_text("\u6f22 caf\xe9\n", "utf-8")
    environment = {**os.environ, "NYBBLE_HOME": str(tmp_path), "PYTHONIOENCODING": "cp1252"}
    command = (sys.executable, "-m", "runner", "logs")
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"? caf\xe9" + os.linesep.encode(), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows starts no process without streams")
def test_closed_streams_are_as_good_as_empty_ones(shared: Daemon) -> None:
    for closed in ("<&-", ">&-"):
        line = f"{shlex.join((*NYBBLE, 'run', 'tiny', 'Once', *GREEDY))} {closed}"
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


def test_show_names_the_files(shared: Daemon, tiny_model: Path) -> None:
    shown = ok(nybble_here("show", "tiny"))
    (file,) = json.loads(ok(nybble_here("show", "tiny", "--json")))["files"]
    assert file["path"] in shown
    assert Path(file["path"]).read_bytes() == tiny_model.read_bytes()


def test_relative_path_is_of_the_working_directory(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.gguf").hardlink_to(tiny_model)
    monkeypatch.chdir(tmp_path)
    ok(nybble_here("pull", "here.gguf"))
    assert cells(ok(nybble_here("list")))[1][0] == "here:latest"


def test_run_streams_the_answer_and_says_what_it_does_on_stderr(shared: Daemon) -> None:
    first = nybble("run", "tiny", "Once upon a time", *GREEDY)
    assert ok(first).strip()
    assert "has no chat template: it continues the text" in first.stderr
    # stdin goes before the argument, and the answer is the same for the same text.
    assert ok(nybble_here("run", "tiny", *GREEDY, stdin="Once upon a time\n")) == first.stdout
    assert ok(nybble_here("run", "tiny", "time", *GREEDY, stdin="Once upon a")) != first.stdout


def test_verbose_prints_times_and_speeds_on_stderr(shared: Daemon) -> None:
    quiet = nybble_here("run", "tiny", "Once", *GREEDY)
    verbose = nybble_here("run", "tiny", "Once", *GREEDY, "--verbose")
    assert verbose.stdout == quiet.stdout
    facts = [line.split()[0] for line in verbose.stderr.splitlines()]
    for fact in ("load", "prefill", "decode", "TTFT"):
        assert fact in facts
    assert "tok/s" in verbose.stderr and "12, ended by length" in verbose.stderr


def test_answers_in_a_format(shared: Daemon, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    only_n = {"properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    schema.write_text(json.dumps({"type": "object"} | only_n))
    answer = ok(nybble_here("run", "tiny", "Once", "--format", str(schema), "-o", "max_tokens=200"))
    assert json.loads(answer)["n"] in (1, 2)
    biased = ok(nybble_here("run", "tiny", "Once", *GREEDY, "-o", 'logit_bias={"40": 100}'))
    assert len(set(biased.split())) == 1
    for wrong, said in [
        (("--format", str(tmp_path / "none.json")), "cannot read"),
        (("--overflow", "forget"), "forget is no policy"),
        (("-o", "logit_bias=40"), "logit_bias = 40 is not valid"),
        (("-o", "logit_bias={40}"), "is not JSON"),
    ]:
        refused = nybble_here("run", "tiny", "Once", *wrong)
        assert refused.code and said in refused.stderr


def test_ctrl_c_ends_with_130_and_keeps_what_was_said(shared: Daemon) -> None:
    process = start("run", "tiny", "Once", "-o", "temperature=0", "-o", "max_tokens=1000")
    assert process.stdin and process.stdout
    process.stdin.close()
    said = process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    with process:
        said += process.stdout.read()
        assert process.wait(60) == exits.INTERRUPTED
        assert process.stderr and "Traceback" not in process.stderr.read()
    assert said.strip()


def test_ps_and_stop(shared: Daemon) -> None:
    ok(nybble_here("run", "tiny", "Once", *GREEDY, "--keep-alive", "-1"))
    header, *rows = cells(ok(nybble_here("ps")))
    assert header == [
        "NAME", "ID", "MEMORY", "WEIGHTS", "THREADS", "CONTEXT", "SLOTS", "QUEUE", "UNTIL", "WHY"
    ]  # fmt: skip
    assert ["forever" in row for row in rows if row[0] == "tiny:latest"] == [True]
    (tiny,) = loaded()
    assert tiny["state"] == "ready" and tiny["context_length"] <= 1024

    ok(nybble_here("stop", "tiny"))
    # It unloads when it is ready to: a worker ends in some milliseconds.
    seen = [loaded()]
    while seen[-1] and len(seen) < 500:
        seen.append(loaded())
    assert [each["state"] for each in seen[0]] in (["unloading"], [])
    assert seen[-1] == []


def loaded() -> list[dict[str, Any]]:
    """`tiny`, if it is; other tests load others."""
    return [each for each in json.loads(ok(nybble_here("ps", "--json"))) if each["name"] == "tiny:latest"]


def test_quantize(shared: Daemon, tmp_path: Path) -> None:
    ok(nybble_here("quantize", "tiny", "Q8_0", "--as", "tiny:q8"))
    (made,) = [row for row in json.loads(ok(nybble_here("list", "--json"))) if row["name"] == "tiny:q8"]
    assert made["quantization"] == "Q8_0"
    assert ok(nybble_here("run", "tiny:q8", "Once", *GREEDY)).strip()
    ok(nybble_here("pull", str(write_model(tmp_path / "narrow.gguf"))))
    said = nybble_here("quantize", "narrow", "q6_k").stderr
    assert (
        "made narrow:q6_k" in said and "Q8_0 for the most part: its rows do not fill blocks of Q6_K" in said
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("show tini", exits.NOT_FOUND, "tiny"),
        ("rm nothing-like-it", exits.NOT_FOUND, "hint:"),
        ("run tiny x -o temprature=1", exits.USAGE, "did you mean temperature?"),
        ("run tiny x -o top_k=many", exits.USAGE, "top_k = many is not valid"),
        ("run tiny x --keep-alive soon", exits.USAGE, "5m"),
        ("run tiny" + " word" * 3000, exits.USAGE, "1024"),
        ("pull ../absent.gguf", exits.NOT_FOUND, "absent.gguf"),
        ("pull ~nobody-here/absent.gguf", exits.NOT_FOUND, "absent.gguf"),
        ("pull a/b/c", exits.USAGE, "hint:"),
        ("stop", exits.USAGE, "--daemon"),
        ("compare export 1", exits.USAGE, "--format, or the ending of FILE: one of html, svg, md, csv, json"),
        ("frobnicate", exits.USAGE, "No such command"),
        ("config set prot 1", exits.USAGE, "did you mean 'port'?"),
        ("config set port x", exits.USAGE, "from 0 to 65535"),
        ("config set port 1 --model tiny", exits.USAGE, "for the whole daemon"),
    ],
)
def test_mistakes_get_a_sentence_and_a_code(shared: Daemon, arguments: str, code: int, says: str) -> None:
    result = nybble_here(*arguments.split(" "))
    assert result.code == code
    assert says in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_escape_sequences_do_not_reach_the_terminal(shared: Daemon) -> None:
    result = nybble_here("run", "tiny", "x", "-o", "temperature=\x1b]0;owned\x07\x1b[31mred")
    assert "temperature = red is not valid" in result.stderr


def test_config_shows_origins_and_keeps_comments(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    file = home / "config.toml"
    file.write_text("# my settings\nmax_queue = 7  # few\n")
    ok(nybble_here("config", "set", "keep_alive", "10m"))
    ok(nybble_here("config", "set", "offline", "true"))

    assert file.read_text() == '# my settings\nmax_queue = 7  # few\nkeep_alive = "10m"\noffline = true\n'
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    rows = json.loads(ok(nybble_here("config", "--json")))
    assert rows["keep_alive"] == {"value": 600.0, "origin": "config.toml"}
    assert rows["max_queue"] == {"value": 7, "origin": "config.toml"}
    assert rows["port"] == {"value": 0, "origin": "environment NYBBLE_PORT"}
    assert rows["hf_token"] == {"value": "***", "origin": "environment HF_TOKEN"}
    assert rows["drain"]["origin"] == "default"


def test_config_of_one_model(home: Path) -> None:
    ok(nybble_here("config", "set", "kv_type", "q8_0", "--model", "smollm2"))
    ok(nybble_here("config", "set", "memory_budget", "4GiB"))
    ok(nybble_here("config", "set", "keep_alive", "-1"))
    text = (home / "config.toml").read_text()
    assert tomllib.loads(text) == {
        "memory_budget": "4GiB",
        "keep_alive": "-1",
        "models": {"smollm2": {"kv_type": "q8_0"}},
    }
    rows = cells(ok(nybble_here("config")))
    assert ["kv_type", "of", '"smollm2:135m"', "q8_0", "config.toml"] in rows
    assert ["memory_budget", "4GiB", "config.toml"] in rows


def test_config_that_is_kept_elsewhere_stays_there(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("max_queue = 7\n")
    (home / "config.toml").symlink_to(kept)
    ok(nybble_here("config", "set", "offline", "true"))
    assert kept.read_text() == "max_queue = 7\noffline = true\n"
    refused = nybble_here("config", "set", "max_queue", "8", "--model", "tiny")
    assert refused.code == exits.USAGE and "for the whole daemon" in refused.stderr
    assert (home / "config.toml").is_symlink() and "max_queue = 7\n" in kept.read_text()
    assert sorted(tmp_path.rglob("*.partial")) == []


def test_logs_show_the_daemon_and_no_prompt(shared: Daemon) -> None:
    ok(nybble_here("run", "tiny", "canary-in-the-prompt", *GREEDY))
    assert " serves " in ok(nybble_here("logs"))
    assert "canary" not in ok(nybble_here("logs", "-n", "100000"))
    assert len(ok(nybble_here("logs", "-n", "1")).splitlines()) == 1


def test_a_folder_that_cannot_be_used_is_named(home: Path) -> None:
    home.mkdir()
    (home / "state").write_text("no folder")
    failed = nybble_here("list")
    assert failed.code == exits.FAILED and "NYBBLE_HOME" in failed.stderr
    assert failed.stderr.startswith(f"error: cannot use {home / 'state'}"), failed.stderr


def test_stop_daemon_ends_it_before_it_returns(home: Path) -> None:
    assert "no model is loaded" in nybble_here("ps").stderr
    ok(nybble_here("stop", "--daemon"))
    assert nybble_here("list", "--no-start").code == exits.UNREACHABLE
    assert "no daemon runs" in nybble_here("stop", "--daemon").stderr


def test_doctor_reports_and_fails_on_errors(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NYBBLE_MAX_QUEUE", "7")
    checks = {check["name"]: check for check in json.loads(ok(nybble_here("doctor", "--json")))}
    assert {"python", "llama.cpp", "instructions", "memory", "device", "store", "daemon"} <= checks.keys()
    assert "llama-cpp-python 0.3" in checks["llama.cpp"]["text"]
    assert str(home) in checks["store"]["text"]
    assert "environment NYBBLE_MAX_QUEUE" in checks["settings"]["text"]

    (home / "store" / "manifests").mkdir(parents=True)
    (home / "store" / "manifests" / "tiny%3Alatest.json").write_text("{")
    monkeypatch.setenv("NYBBLE_PORT", "x")
    broken = nybble_here("doctor")
    assert broken.code == exits.FAILED
    assert "hint: port expects" in broken.stdout
    assert "tiny%3Alatest.json cannot be read" in broken.stdout

    (tmp_path / "libggml.so.0").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    broken = nybble_here("doctor")
    assert "llama.cpp cannot be loaded, exit code 1:" in broken.stdout
    assert "hint: build llama-cpp-python again" in broken.stdout


def test_no_command_and_no_terminal_prints_help(home: Path) -> None:
    assert "Usage: nybble" in ok(nybble())
    assert ok(nybble("--version")).startswith("nybble 0.")
