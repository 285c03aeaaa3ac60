import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelstore import catalog, names
from modelstore.errors import InvalidName
from modelstore.names import HubName, LocalFile, TagName

PARTS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,40}", fullmatch=True)
TAGS = PARTS.filter(lambda tag: not tag.lower().endswith(".gguf"))
REFS = st.one_of(
    st.builds(TagName, TAGS.filter(lambda name: name.lower() != "ollama"), TAGS),
    st.builds(HubName, PARTS, PARTS, PARTS.filter(lambda tag: tag != "latest")),
)


@given(REFS)
def test_every_reference_survives_being_written_and_read(ref: names.ModelRef) -> None:
    assert names.parse(str(ref)) == ref


@given(st.text(max_size=120))
def test_any_text_is_a_path_a_harmless_name_or_refused(text: str) -> None:
    try:
        ref = names.parse(text)
    except InvalidName as error:
        assert error.hint
        return
    if not isinstance(ref, LocalFile):
        assert str(ref).isascii()
        assert not any(part in (".", "..") for part in str(ref).split("/"))
        assert "\\" not in str(ref)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smollm2", TagName("smollm2")),
        ("SmolLM2:135M", TagName("SmolLM2", "135M")),
        ("bartowski/Model-GGUF", HubName("bartowski", "Model-GGUF")),
        ("bartowski/Model-GGUF:latest", HubName("bartowski", "Model-GGUF")),
        ("hf.co/bartowski/Model-GGUF:Q4_K_M", HubName("bartowski", "Model-GGUF", "Q4_K_M")),
        ("HuggingFace.co/a/b", HubName("a", "b")),
        ("a/b:model-q4_0.gguf", HubName("a", "b", "model-q4_0.gguf")),
        ("hf.co/a/b.gguf", HubName("a", "b.gguf")),
        ("model.gguf", LocalFile("model.gguf")),
        ("folder/Model.GGUF", LocalFile("folder/Model.GGUF")),
        ("./weights", LocalFile("./weights")),
        ("../weights.bin", LocalFile("../weights.bin")),
        ("/data/weights", LocalFile("/data/weights")),
        ("~/model.gguf", LocalFile("~/model.gguf")),
        (r"C:\models\model.gguf", LocalFile(r"C:\models\model.gguf")),
    ],
)
def test_forms_of_names(text: str, expected: names.ModelRef) -> None:
    assert names.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "a:", ":b", "a:b:c", "a b", "a\nb", "a\x00b", "-a", ".a", "a/../b", "a//b", "a/b/c",
        "a/b:c/d", "hf.co/", "hf.co/a", "hf.co/../../etc", "hf.co//etc/passwd", "ollama:", "ollama:../x", "é",
        "a:é", "a" * 81, "a/" + "b" * 81, "a\u200b", "http://127.0.0.1/x/y", "sha256:../../x",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        names.parse(text)


@pytest.mark.parametrize("text", ["ollama:llama3.2:3b", "Ollama:library/llama3.2", "OLLAMA"])
def test_of_a_name_in_the_ollama_registry_the_refusal_says_that(text: str) -> None:
    with pytest.raises(InvalidName, match="Ollama registry"):
        names.parse(text)


def test_names_are_short_enough_for_a_file_name() -> None:
    parts = "/".join(["a" * 79, "b" * 80])
    assert names.parse(f"hf.co/{parts}")
    with pytest.raises(InvalidName):
        names.parse(f"hf.co/{parts}:{'c' * 80}")


@pytest.mark.parametrize(
    ("begin", "limit"), [("", "200"), ("a/", "200"), ("ollama:", "200"), ("/", "4,096"), ("./", "4,096")]
)
def test_of_a_name_that_is_too_long_an_error_has_the_beginning_and_the_limit(begin: str, limit: str) -> None:
    text = begin + "a" * 100_000
    with pytest.raises(InvalidName, match=rf"{begin}aaa.*{len(text):,} char.* limit is {limit}") as caught:
        names.parse(text)
    assert len(caught.value.message) < 150


@given(st.text(max_size=200))
@example("ollama.gguf")
def test_any_file_name_makes_a_valid_name(file_name: str) -> None:
    name = str(names.from_file_name(file_name))
    assert isinstance(names.parse(name), TagName)


def test_a_file_keeps_its_name_as_far_as_it_can() -> None:
    assert str(names.from_file_name("SmolLM2 (135M)-Q4_1.GGUF")) == "smollm2-135m-q4_1:latest"


@pytest.mark.parametrize("text", ["./x.gguf", "a/b", "ollama:x"])
def test_only_plain_names_are_given_to_local_models(text: str) -> None:
    with pytest.raises(InvalidName):
        names.parse_tag(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smollm2", "smollm2:135m"),
        ("SMOLLM2:LATEST", "smollm2:135m"),
        ("smollm2:135M", "smollm2:135m"),
        ("smollm2:q8", "smollm2:q8"),
        ("mine", "mine:latest"),
    ],
)
def test_catalog_names_take_the_catalogs_tag(text: str, expected: str) -> None:
    assert catalog.canonical(names.parse_tag(text)) == expected


def test_the_catalog_is_consistent() -> None:
    spellings = [spelling for entry in catalog.entries() for spelling in (entry.name, *entry.aliases)]
    assert len(spellings) == len(set(spellings))
    for entry in catalog.entries():
        assert catalog.canonical(names.parse_tag(entry.name)) == entry.name == entry.name.lower()
        for mirror in entry.mirrors:
            if isinstance(mirror, catalog.HubMirror):
                assert names.parse(f"{mirror.repository}:{mirror.tag}")
            else:
                assert entry.file
                assert sum(part.size_bytes for part in mirror.parts) == entry.file.size_bytes


def test_close_names_are_offered() -> None:
    assert catalog.closest("smolm2", []) == ["smollm2:135m"]
    assert catalog.closest("my-modle", ["my-model:latest"]) == ["my-model:latest"]
    assert catalog.closest("zzzzzzzz", []) == []
    # A pull asks with the tag that nobody typed.
    assert catalog.closest("smolm2:latest", []) == ["smollm2:135m"]
    assert catalog.closest("nosuch:latest", []) == []
