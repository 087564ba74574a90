"""Binary commands as the real firmware answers them."""

import binascii
import struct
from collections.abc import Callable

import numpy as np
import pytest
from wire import Wire

from lsm.led import BoardStatus, Hello, LatchReport, Reply
from lsm.led._constants import MAX_FRAME, SCALE_ONE, Bank, Command, Flag, Status
from lsm.led.protocol import encode_request
from lsm_sim.board import NativeBoard, read_led_frames

pytestmark = pytest.mark.firmware

N_BYTES = 169 * 3
LEVELS = bytes(np.random.default_rng(5).integers(0, 60, N_BYTES, dtype=np.uint8))
WHITE = struct.pack("<HHBBB", 0, 169, 255, 255, 255)


def write(wire: Wire, levels: bytes = LEVELS):
    return wire.write(levels)


def at(first: int, *, bits: int = 24):
    """FB_WRITE's header."""
    return struct.pack("<BBBBH", bits, 0, 0, 0, first)


def status(wire: Wire):
    return BoardStatus.parse(wire.ask(Command.STATUS).payload)


def read(wire: Wire, bank: Bank):
    return wire.ask(Command.FB_READ, struct.pack("<BHH", bank, 0, N_BYTES)).payload


def emitted(native: NativeBoard):
    return native.lit().tobytes()


def test_boots_dark_and_says_so_on_the_led_lane(native: NativeBoard, wire: Wire):
    frames = read_led_frames(native.frames_path)
    assert len(frames) == 1
    assert frames[0][1].shape == (169, 3)
    assert not frames[0][1].any()
    assert not status(wire).flags & Flag.LIT


def test_nothing_is_changed_before_hello(native: NativeBoard, wire: Wire):
    for command, payload in [
        (Command.FB_WRITE, at(0) + b"\xff\xff\xff"),
        (Command.SHOW, b""),
        (Command.FB_FILL, WHITE),
        (Command.SET_LIMIT, struct.pack("<I", 100)),
        (Command.WATCHDOG, struct.pack("<I", 100)),
    ]:
        assert wire.ask(command, payload).status == Status.NOT_ARMED
    assert not any(read(wire, Bank.FRAME_BUFFER))
    assert len(read_led_frames(native.frames_path)) == 1


def test_show_emits_what_was_written_and_reads_back_the_same(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    reply = wire.ask(Command.SHOW, struct.pack("<I", binascii.crc32(LEVELS)))
    report = LatchReport.parse(reply.payload)
    assert reply.status == Status.OK
    assert report.scale_q16 == SCALE_ONE
    assert report.levels_crc == binascii.crc32(LEVELS)
    assert emitted(native) == read(wire, Bank.LATCHED) == LEVELS
    assert report.latch == len(read_led_frames(native.frames_path))


def test_writing_the_frame_buffer_changes_no_light(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    wire.ask(Command.SHOW)
    write(wire, b"\xff" * 30)
    assert emitted(native) == read(wire, Bank.LATCHED) == LEVELS
    assert read(wire, Bank.FRAME_BUFFER) == b"\xff" * 30 + LEVELS[30:]


def test_show_refuses_a_frame_buffer_that_the_host_did_not_mean(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    assert wire.ask(Command.SHOW, struct.pack("<I", binascii.crc32(LEVELS) ^ 1)).status == Status.CRC
    assert not native.lit().any()


def test_a_repeated_seq_is_answered_again_and_not_executed_again(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    first = wire.ask(Command.SHOW, seq=77)
    again = wire.ask(Command.SHOW, seq=77)
    assert again == first
    assert len(read_led_frames(native.frames_path)) == LatchReport.parse(first.payload).latch


def test_a_repeated_seq_is_recognised_behind_later_requests(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    first = wire.ask(Command.SHOW, seq=100)
    for seq in range(101, 107):
        wire.ask(Command.PING, seq=seq)
    assert wire.ask(Command.SHOW, seq=100) == first


def test_the_same_seq_with_other_content_is_refused(native: NativeBoard, wire: Wire):
    wire.hello()
    wire.ask(Command.FB_FILL, WHITE, seq=9)
    assert wire.ask(Command.FB_FILL, struct.pack("<HHBBB", 0, 1, 1, 2, 3), seq=9).status == Status.FAULT
    assert read(wire, Bank.FRAME_BUFFER) == b"\xff" * N_BYTES


def test_a_new_round_of_seqs_is_executed(native: NativeBoard, wire: Wire):
    """After 256 requests the numbers begin again; an old answer must not be taken for a new one."""
    wire.hello()
    write(wire)
    first = LatchReport.parse(wire.ask(Command.SHOW, seq=5).payload).latch
    for seq in range(6, 6 + 255):
        wire.ask(Command.PING, seq=seq % 256)
    assert LatchReport.parse(wire.ask(Command.SHOW, seq=5).payload).latch == first + 1


def test_a_new_host_may_use_the_numbers_of_the_one_before(native: NativeBoard, wire: Wire):
    wire.hello()
    wire.ask(Command.FB_FILL, WHITE, seq=101)
    wire.ask(Command.SHOW, seq=102)
    wire.hello()
    assert wire.ask(Command.FB_WRITE, at(0) + LEVELS, seq=101).status == Status.OK
    assert wire.ask(Command.SHOW, seq=102).status == Status.OK
    assert emitted(native) == LEVELS


def test_a_damaged_frame_is_reported_and_changes_nothing(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    frame = bytearray(encode_request(50, Command.SHOW))
    frame[2] ^= 0x40
    wire.send(bytes(frame))
    assert wire.answer() == Reply(0, Command.NAK, Status.CRC, b"")
    assert status(wire).damaged_frames == 1
    assert not native.lit().any()


def test_every_single_bit_error_in_show_is_noticed(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    latch = status(wire).latch
    frame = encode_request(50, Command.SHOW)
    for bit in range(8, 8 * (len(frame) - 1)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        wire.send(bytes(damaged) + b"\0")
    wire.send(b"\0")
    while wire.answer(0.3) is not None:
        pass
    assert status(wire).latch == latch


def test_white_is_scaled_to_the_limit_and_never_above(native: NativeBoard, wire: Wire):
    hello = Hello.parse(wire.hello().payload)
    assert hello.limit_ma == 169 * 60 * 30 // 100
    wire.ask(Command.FB_FILL, WHITE)
    reply = wire.ask(Command.SHOW)
    report = LatchReport.parse(reply.payload)
    assert reply.status == Status.LIMITED
    level = 255 * report.scale_q16 // SCALE_ONE
    assert emitted(native) == bytes([level]) * N_BYTES
    assert hello.limit_ma * 0.98 < report.current_ma <= hello.limit_ma  # rounding down costs under 1 of 76 levels
    assert report.levels_crc == binascii.crc32(emitted(native))
    assert status(wire).flags & Flag.LIMITED


def test_limit_moves_up_to_the_ceiling_and_not_beyond(native: NativeBoard, wire: Wire):
    hello = Hello.parse(wire.hello().payload)
    assert wire.ask(Command.SET_LIMIT, struct.pack("<I", hello.ceiling_ma + 1)).status == Status.RANGE
    assert wire.ask(Command.SET_LIMIT, struct.pack("<I", 0)).status == Status.RANGE
    assert wire.ask(Command.SET_LIMIT, struct.pack("<I", hello.ceiling_ma)).status == Status.OK
    wire.ask(Command.FB_FILL, WHITE)
    assert LatchReport.parse(wire.ask(Command.SHOW).payload).current_ma <= hello.ceiling_ma


def test_a_light_above_a_new_limit_goes_out(native: NativeBoard, wire: Wire):
    wire.hello()
    wire.ask(Command.FB_FILL, WHITE)
    wire.ask(Command.SHOW)
    wire.ask(Command.SET_LIMIT, struct.pack("<I", 500))
    assert not native.lit().any()


@pytest.mark.parametrize(
    ("command", "payload", "expected"),
    [
        (Command.FB_WRITE, at(168) + bytes(6), Status.RANGE),
        (Command.FB_WRITE, at(65535) + bytes(3), Status.RANGE),
        (Command.FB_WRITE, at(168, bits=8) + bytes(2), Status.RANGE),
        (Command.FB_WRITE, at(161, bits=1) + bytes(2), Status.RANGE),
        (Command.FB_WRITE, at(0, bits=16) + bytes(2), Status.RANGE),
        (Command.FB_WRITE, at(0) + bytes(4), Status.LENGTH),
        (Command.FB_WRITE, at(0), Status.LENGTH),
        (Command.FB_WRITE, b"", Status.LENGTH),
        (
            Command.FB_SPARSE,
            b"\x18\0\0\0" + struct.pack("<H3B", 0, 1, 1, 1) + struct.pack("<H3B", 169, 1, 1, 1),
            Status.RANGE,
        ),
        (Command.FB_SPARSE, b"\x01\0\0\0" + bytes(3), Status.RANGE),
        (Command.FB_SPARSE, b"\x18\0\0\0" + bytes(3), Status.LENGTH),
        (Command.FB_SPARSE, b"\x08\0", Status.LENGTH),
        (Command.FB_READ, struct.pack("<BHH", 1, 500, 8), Status.RANGE),
        (Command.FB_READ, struct.pack("<BHH", 2, 0, 1), Status.RANGE),
        (Command.FB_READ, struct.pack("<BHH", 0, 65535, 65535), Status.RANGE),
        (Command.FB_FILL, struct.pack("<HHBBB", 168, 2, 1, 1, 1), Status.RANGE),
        (Command.FB_FILL, struct.pack("<HHBBB", 65535, 65535, 1, 1, 1), Status.RANGE),
        (Command.GEOM_READ, struct.pack("<HB", 160, 10), Status.RANGE),
        (Command.GEOM_READ, struct.pack("<HB", 0, 65), Status.RANGE),
        (Command.WATCHDOG, struct.pack("<I", 0), Status.RANGE),
        (Command.WATCHDOG, struct.pack("<I", 60001), Status.RANGE),
        (Command.WATCHDOG, b"\1", Status.LENGTH),
        (Command.SHOW, b"\1", Status.LENGTH),
        (Command.HELLO, b"\xff", Status.VERSION),
        (Command.HELLO, b"", Status.LENGTH),
        (Command.PING, bytes(MAX_FRAME - 4), Status.LENGTH),
    ],
)
def test_values_out_of_range_are_refused_and_light_nothing(
    native: NativeBoard, wire: Wire, command: Command, payload: bytes, expected: Status
):
    wire.hello()
    assert wire.ask(command, payload).status == expected
    assert not any(read(wire, Bank.FRAME_BUFFER))
    assert not native.lit().any()


def test_an_unknown_command_is_refused(wire: Wire):
    wire.send(encode_request(1, Command.NAK))
    assert wire.answer() == Reply(1, Command.NAK, Status.UNKNOWN, b"")


def prepare_booted(wire: Wire):
    pass


def prepare_greeted(wire: Wire):
    wire.hello()


def prepare_lit(wire: Wire):
    wire.hello()
    write(wire)
    wire.ask(Command.SHOW)


def prepare_lit_by_text(wire: Wire):
    wire.text("ff")


def prepare_inside_a_frame(wire: Wire):
    prepare_lit(wire)
    wire.send(b"\0\x09\x11\x22")


def prepare_inside_a_line(wire: Wire):
    prepare_lit(wire)
    wire.send(b"l.1.2")


def prepare_after_noise(wire: Wire):
    prepare_lit(wire)
    wire.send(b"\xff\x80\n\nff\n")
    wire.answer()


@pytest.mark.parametrize(
    "prepare",
    [
        prepare_booted,
        prepare_greeted,
        prepare_lit,
        prepare_lit_by_text,
        prepare_inside_a_frame,
        prepare_inside_a_line,
        prepare_after_noise,
    ],
)
def test_stop_is_obeyed_in_every_state(native: NativeBoard, wire: Wire, prepare: Callable[[Wire], None]):
    prepare(wire)
    before = len(read_led_frames(native.frames_path))
    wire.send(encode_request(3, Command.STOP, b"whatever"))
    reply = wire.answer()
    reply = wire.answer() if isinstance(reply, Reply) and reply.command == Command.NAK else reply
    assert isinstance(reply, Reply)
    assert (reply.command, reply.status) == (Command.STOP, Status.OK)
    assert len(read_led_frames(native.frames_path)) == before + 1
    assert not native.lit().any()


def test_hello_takes_over_a_lit_board_dark(native: NativeBoard, wire: Wire):
    prepare_lit(wire)
    wire.hello()
    assert not native.lit().any()
    assert not any(read(wire, Bank.FRAME_BUFFER))


def test_a_lost_zero_between_two_frames_loses_neither(wire: Wire):
    wire.send(encode_request(1, Command.PING, b"a")[:-1] + encode_request(2, Command.PING, b"b"))
    assert wire.answers(2) == [Reply(1, 1, 0, b"a"), Reply(2, 1, 0, b"b")]


def test_a_closed_shutter_refuses_show(native: NativeBoard, wire: Wire):
    wire.hello()
    write(wire)
    assert wire.text("gs.0") == "GS.0"
    assert wire.ask(Command.SHOW).status == Status.NOT_ARMED
    assert not native.lit().any()
