"""The texts that come with nybble: complete, free, small, unaltered, and worth measuring on."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from fractions import Fraction
from math import prod
from pathlib import Path

import pytest

from modelstore.errors import Unusable
from runner.compare import corpus
from runner.compare.answers import is_worth_scoring
from runner.compare.corpus import in_turn

KINDS = {"prose", "dialogue", "code", "math", "JSON and tools"}
LANGUAGES = {
    "German": "LATIN", "French": "LATIN", "Spanish": "LATIN", "Portuguese": "LATIN", "Russian": "CYRILLIC",
    "Arabic": "ARABIC", "Hindi": "DEVANAGARI", "Chinese": "CJK", "Japanese": "HIRAGANA", "Korean": "HANGUL",
    "Swahili": "LATIN", "Tagalog": "LATIN",
}  # fmt: skip
NUMBER = r"\d+(?:\.\d+)?"
SUM = re.compile(rf"(?<![×+−/] )(?<![\d./(])({NUMBER}(?: [×+] {NUMBER})+) = ({NUMBER})(?![\d/])")


def of(use: str) -> dict[str, str]:
    return {text.domain: corpus.read(text) for text in corpus.texts() if text.use == use}


def test_every_file_is_listed_with_a_free_licence_and_all_are_small() -> None:
    listed = {text.path for text in corpus.texts()}
    found = {path.relative_to(corpus.FOLDER).as_posix() for path in corpus.FOLDER.rglob("*.txt")}
    assert listed == found
    assert {text.license for text in corpus.texts()} == {"CC0-1.0"}
    assert all(text.source for text in corpus.texts())
    assert sum(path.stat().st_size for path in corpus.FOLDER.rglob("*") if path.is_file()) <= 1_000_000


def test_every_domain_has_a_text_and_24_different_prompts() -> None:
    assert set(of("corpus")) == set(of("prompts")) == KINDS | set(LANGUAGES)
    assert corpus.languages() == set(LANGUAGES)
    prompts = corpus.prompts()
    for domain in KINDS | set(LANGUAGES):
        asked = [text for of_domain, text in prompts if of_domain == domain]
        assert len(set(asked)) == len(asked) >= 24
        assert all(len(text) > 5 and text == text.strip() and "%%" not in text for text in asked)


def test_the_corpus_is_long_enough() -> None:
    sizes = {domain: len(text.encode()) for domain, text in of("corpus").items()}
    assert sizes["prose"] >= 35_000
    assert all(2_900 <= sizes[language] <= 6_000 for language in LANGUAGES)


@pytest.mark.parametrize("use", ["corpus", "prompts"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_in_its_script(use: str, language: str) -> None:
    letters = [letter for letter in of(use)[language] if letter.isalpha()]
    scripts = [unicodedata.name(letter).split()[0] for letter in letters]
    own = LANGUAGES[language]
    accepted = {own, "CJK", "KATAKANA", "KATAKANA-HIRAGANA"} if own == "HIRAGANA" else {own}
    assert sum(script in accepted for script in scripts) > 0.93 * len(scripts)


def test_nothing_is_said_twice() -> None:
    for text in of("corpus").values():
        data = text.encode()
        starts = range(0, len(data) - 1200, 600)
        assert all(is_worth_scoring(data[start : start + 1200]) for start in starts)
    lines = [
        line for domain, text in of("corpus").items() if domain in LANGUAGES for line in text.splitlines()
    ]
    long = [line for line in lines if len(line) > 30]
    assert len(set(long)) == len(long)


def test_what_the_exercises_say_is_true() -> None:
    sums = SUM.findall(of("corpus")["math"])
    assert len(sums) >= 20
    for left, right in sums:
        products = [prod(map(Fraction, term.split(" × "))) for term in left.split(" + ")]
        assert sum(products) == Fraction(right)


def test_the_json_is_json() -> None:
    decoder = json.JSONDecoder()
    values = 0
    text = of("corpus")["JSON and tools"]
    for start in re.finditer(r"^(?:call: |result: )?(?=\{)", text, re.MULTILINE):
        _, end = decoder.raw_decode(text, start.end())
        assert text[end : end + 1] == "\n"
        values += 1
    assert values >= 20


def test_an_altered_text_is_refused_by_name(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(corpus.FOLDER, tmp_path / "texts"))
    korean = folder / "corpus" / "korean.txt"
    korean.write_bytes(korean.read_bytes().replace(b".", b"!", 1))
    (folder / "prompts" / "math.txt").unlink()
    read = {text.path: text for text in corpus.texts(folder)}
    with pytest.raises(Unusable, match=r"the text corpus/korean\.txt was altered"):
        corpus.read(read["corpus/korean.txt"], folder)
    with pytest.raises(Unusable, match=r"the text prompts/math\.txt cannot be read"):
        corpus.prompts(folder)


def test_domains_take_turns_and_languages_share_theirs() -> None:
    items = {"prose": "abc", "German": "de", "code": "xy", "French": "f", "Hindi": "h"}
    order = [item for _, item in in_turn(items, {"German", "French", "Hindi"})]
    assert order == ["a", "x", "d", "f", "b", "y", "h", "e", "c"]
    first = [domain for domain, _ in corpus.prompts()[:14]]
    assert set(first[:7]) - set(LANGUAGES) == set(first[7:]) - set(LANGUAGES) == KINDS
    assert len(set(first) & set(LANGUAGES)) == 4


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n\n",
        "Sure, here is a list of things to do:\n" + "- Go for a walk\n" * 40,
        "The river rose in the night. Nobody had seen it coming, and then, " + "and then, " * 60,
        "मुझे नौकरी चाहिए और " * 30,
    ],
)
def test_empty_answers_and_loops_are_dropped(answer: str) -> None:
    assert not is_worth_scoring(answer.encode())


def test_short_answers_are_kept() -> None:
    assert is_worth_scoring(b"Yes.")
    assert is_worth_scoring(b"4, 4, 4, 4, 4, 4")
