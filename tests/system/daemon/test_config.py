"""Settings: which source wins, what is refused, and that each says where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config, config_values, paths
from runner.config import InvalidSetting
from runner.settings import KEYS, ModelSettings, Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_flag_beats_environment_beats_file_beats_default(file: Path) -> None:
    file.write_text('port = 1\nmax_queue = 2\nkeep_alive = "90s"\nthreads = "auto"\n')
    environment = {"NYBBLE_PORT": "3", "NYBBLE_MAX_QUEUE": "4", "HF_HUB_OFFLINE": "1", "HF_TOKEN": " "}

    settings, origins = config.load({"port": 5, "host": None}, environment, file)

    assert settings == Settings(port=5, max_queue=4, keep_alive_s=90, threads=None, offline=True)
    assert origins["port"] == "flag --port"
    assert origins["max_queue"] == "environment NYBBLE_MAX_QUEUE"
    assert origins["keep_alive"] == "config.toml"
    assert origins["offline"] == "environment HF_HUB_OFFLINE"
    assert origins["hf_token"] == origins["drain"] == "default"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:99", ("127.0.0.1", 99)),
        ("http://localhost:99/", ("localhost", 99)),
        ("[::1]:99", ("::1", 99)),
        ("::1", ("::1", 11444)),
        ("127.0.0.1", ("127.0.0.1", 11444)),
    ],
)
def test_host_may_carry_the_port(host: str, expected: tuple[str, int], file: Path) -> None:
    settings, _ = config.load({}, {"NYBBLE_HOST": host}, file)
    assert (settings.host, settings.port) == expected


def test_port_of_the_same_source_beats_the_port_in_host(file: Path) -> None:
    settings, origins = config.load({}, {"NYBBLE_HOST": "localhost:1", "NYBBLE_PORT": "2"}, file)
    assert (settings.port, origins["port"]) == (2, "environment NYBBLE_PORT")


@pytest.mark.parametrize(
    ("text", "environment", "says", "hint"),
    [
        ("prot = 1", {}, "'prot'", "did you mean 'port'?"),
        ("[server]\nport = 1", {}, "'server'", "known keys"),
        ("port = ", {}, "config.toml", "correct or remove"),
        ("port = true", {}, "port in config.toml", "from 0 to 65535"),
        ("threads = 0", {}, "threads in config.toml", 'or "auto"'),
        ('drain = "-1s"', {}, "drain in config.toml", "0 or more"),
        ('prefill = "quick"', {}, "prefill in config.toml", '"balanced"'),
        ('kv_type = "q8"', {}, "kv_type in config.toml", "did you mean 'q8_0'?"),
        ('memory_budget = "4 gigs"', {}, "memory_budget in config.toml", '"4GiB"'),
        ("models = 1", {}, "not a table", "[models."),
        ('[models."a b"]', {}, "'a b'", "letters, digits"),
        ("[models.tiny]\nkv_typ = 1", {}, '[models."tiny"]', "did you mean 'kv_type'?"),
        ("[models.tiny]\nmax_queue = 1", {}, "for the whole daemon", "at the top"),
        ("[models.tiny]\noverflow = true", {}, 'overflow in [models."tiny"]', "truncate"),
        ("", {"NYBBLE_PORT": "70000"}, "NYBBLE_PORT: '70000'", "from 0 to 65535"),
        ("", {"NYBBLE_PROT": "1"}, "NYBBLE_PROT", "did you mean NYBBLE_PORT?"),
        ("", {"HF_ENDPOINT": "hub"}, "HF_ENDPOINT", "https://"),
        ("", {"NYBBLE_KEEP_ALIVE": "soon"}, "NYBBLE_KEEP_ALIVE", "5m"),
    ],
)
def test_mistakes_are_named(text: str, environment: dict[str, str], says: str, hint: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(InvalidSetting) as caught:
        config.load({}, environment, file)
    assert says in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_model_has_its_own_settings_and_takes_the_rest_from_all(file: Path) -> None:
    file.write_text(
        'context_length = 512\nkv_type_k = "q8_0"\n'
        '[models.SmolLM2]\nkv_type = "q4_0"\nkeep_alive = -1\ndraft = "tiny"\nprefix_ram = "64MiB"\n'
        '[models."user/repository:Q8_0"]\nspeculation = false\n'
    )
    settings, _ = config.load({}, {"NYBBLE_CONTEXT_LENGTH": "1024"}, file)
    assert settings.of("smollm2:135m") == ModelSettings(
        context_length=1024, kv_type="q4_0", keep_alive_s=-1, draft="tiny", prefix_ram_bytes=64 * 2**20
    )
    repository = settings.of("hf.co/user/repository:Q8_0")
    assert (repository.speculation, repository.kv_type_k, repository.context_length) == (False, "q8_0", 1024)
    assert settings.of("other:latest") is settings


@pytest.mark.parametrize(
    ("prefill", "step_s"), [("smooth", 0.1), ("Balanced", 0.5), ("fast", 0), ("100ms", 0.1), (2, 2)]
)
def test_prefill_has_names_and_durations(prefill: str | int, step_s: float) -> None:
    assert KEYS["prefill"].read(prefill) == step_s


@given(st.integers(0, 2**50))
def test_sizes_are_spelled_as_they_are_read(size_bytes: int) -> None:
    assert config_values.size(config_values.spell_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("4GiB", 2**32), ("1.5 GB", 15 * 10**8), ("500mb", 5 * 10**8), (7, 7), ("0", 0)]
)
def test_sizes(text: str | int, size_bytes: int) -> None:
    assert config_values.size(text) == size_bytes


def test_a_refused_secret_is_not_repeated(file: Path) -> None:
    file.write_text("hf_token = 12345")
    with pytest.raises(InvalidSetting) as caught:
        config.load({}, {}, file)
    assert "12345" not in f"{caught.value.message} {caught.value.hint}"


def test_variables_of_other_programs_are_left_alone(file: Path) -> None:
    for name in ("NYBBLE_SOMEBODY_ELSES", "NYBBLE_FOO"):
        assert config.load({}, {name: "1"}, file)[0] == Settings()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("90", 90),
        ("-1", -1),
        ("-5m", -300),
        (0, 0),
        ("1.5s", 1.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert config_values.duration(text) == seconds


@given(st.text() | st.floats() | st.booleans() | st.none() | st.lists(st.integers()))
def test_a_duration_is_finite_or_refused(value: object) -> None:
    try:
        assert abs(config_values.duration(value)) < 1e15
    except ValueError as error:
        assert "expects" in str(error)


def test_home_moves_everything(tmp_path: Path) -> None:
    places = paths.resolve({"NYBBLE_HOME": str(tmp_path)})
    for place in (places.config_file, places.store, places.cache, places.log_file, places.lock_file):
        assert place.is_relative_to(tmp_path)
