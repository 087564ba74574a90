"""The codec without a board."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.led import Decoder, Reply, TextReply
from lsm.led._constants import MAX_FRAME, Command
from lsm.led.protocol import crc16, encode_line, encode_reply, encode_request, status_name

replies = st.builds(
    Reply, st.integers(0, 255), st.integers(0, 127), st.integers(0, 255), st.binary(max_size=MAX_FRAME - 5)
)
texts = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40).filter(lambda s: "-==-" not in s)
answers = st.one_of(replies, texts.map(TextReply))


def wire(answer: Reply | TextReply) -> bytes:
    return encode_reply(answer) if isinstance(answer, Reply) else answer.text.encode() + b"\n-==-\n"


def test_crc_is_the_published_one():
    assert crc16(b"123456789") == 0x29B1  # check value of CRC-16/CCITT-FALSE (IBM-3740) in the catalogue


@given(st.lists(answers, max_size=6), st.lists(st.integers(1, 50), min_size=1))
def test_any_portions_give_back_what_was_sent(sent: list[Reply | TextReply], sizes: list[int]):
    stream = b"".join(map(wire, sent))
    decoder = Decoder()
    received = []
    at = 0
    for index in range(len(stream)):
        size = sizes[index % len(sizes)]
        received += decoder.feed(stream[at : at + size])
        at += size
    assert received == sent
    assert decoder.damaged == 0


@given(replies, st.data())
def test_a_flipped_bit_never_gives_another_answer(reply: Reply, data: st.DataObject):
    frame = bytearray(encode_reply(reply))
    bit = data.draw(st.integers(8, 8 * (len(frame) - 1) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    decoder = Decoder()
    received = decoder.feed(bytes(frame))
    assert reply not in received
    assert all(isinstance(answer, TextReply) for answer in received)


@given(st.binary(max_size=300), replies)
def test_noise_costs_at_most_the_answers_it_touches(noise: bytes, reply: Reply):
    decoder = Decoder()
    decoder.feed(noise)
    received = decoder.feed(encode_reply(reply) + encode_reply(reply))
    assert reply in received


@given(st.binary(max_size=2000))
def test_any_bytes_can_be_fed(noise: bytes):
    Decoder().feed(noise)


def test_requests_carry_no_zero_inside_and_stay_in_size():
    frame = encode_request(0, Command.PING, bytes(MAX_FRAME - 4))
    assert frame[0] == frame[-1] == 0
    assert 0 not in frame[1:-1]
    with pytest.raises(ValueError, match="exceeds"):
        encode_request(0, Command.PING, bytes(MAX_FRAME - 3))


@pytest.mark.parametrize("line", ["l.1\nff", "x\0", "µ"])
def test_a_line_holds_nothing_but_one_command(line: str):
    with pytest.raises(ValueError, match="printable"):
        encode_line(line)


def test_errors_of_both_illuminate_versions_are_seen():
    assert TextReply("ERROR[4]: an argument is outside its range").is_error
    assert TextReply("error (LedArray::drawLedList)").is_error
    assert not TextReply("NA.25").is_error


def test_unknown_status_numbers_have_a_name():
    assert status_name(8) == "limited"
    assert status_name(200) == "status 200"
