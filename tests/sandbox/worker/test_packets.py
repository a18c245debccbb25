"""Bodies in packets, and packets put together again."""

import pytest

from budflow.sandbox.worker.packets import FRAGMENT, LOG, PACKET_BYTES, RESULT, Assembly, PacketsMalformed, split


@pytest.mark.parametrize("size", [0, 1, PACKET_BYTES, PACKET_BYTES + 1, 3 * PACKET_BYTES, 3 * PACKET_BYTES + 5])
def test_a_body_arrives_as_it_was_sent(size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    assembly = Assembly((RESULT,), 4 * PACKET_BYTES)
    packets = list(split(RESULT, body))

    assert max(len(packet) for packet in packets) <= PACKET_BYTES + 1
    assert [assembly.add(packet) for packet in packets] == [*[None] * (len(packets) - 1), (RESULT, body)]


def test_a_small_packet_of_another_process_may_come_between_fragments() -> None:
    assembly = Assembly((RESULT,), 100)

    assert assembly.add(FRAGMENT + b"a") is None
    assert assembly.add(LOG + b"line") == (LOG, b"line")
    assert assembly.add(RESULT + b"b") == (RESULT, b"ab")
    assert assembly.add(RESULT + b"c") == (RESULT, b"c")


def test_no_more_is_held_than_a_message_may_have() -> None:
    assembly = Assembly((RESULT,), 100)

    with pytest.raises(PacketsMalformed):
        for _ in range(200):
            assembly.add(FRAGMENT + b"x")
