import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import protocol
from runner.protocol import Delta, Finished, Generate, ProtocolError, Sampling, Stepped, decode, encode

# JSON has neither.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))

samplings = st.builds(Sampling, stop=st.lists(st.text()).map(tuple), seed=st.none() | st.integers(0, 2**32))
messages = st.one_of(
    st.builds(Generate, prompt=st.lists(st.text()).map(tuple), sampling=samplings),
    st.builds(protocol.Load),
    st.builds(protocol.Embed, inputs=st.lists(st.text()).map(tuple)),
    st.builds(protocol.Ready, control_tokens=st.lists(st.text()).map(tuple)),
    st.builds(
        Stepped,
        deltas=st.lists(st.builds(Delta)).map(tuple),
        finished=st.lists(st.builds(Finished)).map(tuple),
        failed=st.lists(st.builds(protocol.Failed)).map(tuple),
    ),
)


@given(messages)
def test_a_message_survives_the_pipe_on_one_line(message: protocol.Command | protocol.Event) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"ggml: hello\n",
        b"[]\n",
        b"{}\n",
        b'{"type":"Cancel"}\n',
        b'{"type":"Exec","x":1}\n',
        b"[" * 10**5,
    ],
)
def test_anything_else_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


def test_an_unknown_field_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        decode(json.dumps({"type": "Cancel", "request_id": "1", "more": 2}).encode())
