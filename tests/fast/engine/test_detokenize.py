from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from runner.worker.detokenize import TextAssembler


def cut(data: bytes, borders: list[int]) -> list[bytes]:
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def assembled(pieces: list[bytes], stop: tuple[str, ...]) -> tuple[str, bool]:
    assembler = TextAssembler(stop)
    text = ""
    for piece in pieces:
        text += assembler.feed(piece)
        if assembler.stopped_by:
            break
    return text + assembler.flush(), assembler.stopped_by is not None


@given(st.text(), st.lists(st.integers(0, 500), max_size=20))
@example("héllo 🌍 散射", [1, 2, 3, 4, 9, 10, 11])
def test_text_survives_any_split_of_its_bytes(text: str, borders: list[int]) -> None:
    assert assembled(cut(text.encode(), borders), ()) == (text, False)


@given(
    st.text(alphabet="abc é", max_size=40),
    st.lists(st.text(alphabet="abc é", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 80), max_size=20),
)
def test_text_ends_before_a_stop_string_that_spans_tokens(
    text: str, stop: list[str], borders: list[int]
) -> None:
    result, stopped = assembled(cut(text.encode(), borders), tuple(stop))
    assert stopped == any(s in text for s in stop)
    assert text.startswith(result)
    assert not any(s in result for s in stop)
    if not stopped:
        assert result == text


def test_nothing_that_may_become_a_stop_string_is_shown() -> None:
    assembler = TextAssembler(("\nUser:",))
    assert [assembler.feed(p) for p in (b"Hi", b"\nUs", b"e", b"d\n", b"User:x")] == [
        "Hi",
        "",
        "",
        "\nUsed",
        "",
    ]
    assert assembler.stopped_by == "\nUser:"
    assert assembler.flush() == ""


def test_half_a_character_at_the_end_becomes_a_replacement() -> None:
    assert assembled(["é".encode()[:1]], ()) == ("\ufffd", False)
