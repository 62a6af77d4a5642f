# SPDX-License-Identifier: Apache-2.0
"""What live tests read out of ping's words (tests/live/guests.py)."""

from tests.live.guests import Flood, losses


def printed(sent: int, *answers: str) -> str:
    lines = [f"[1.0] 64 bytes from 198.18.1.5: icmp_seq={answer} ttl=63 time=0.3 ms" for answer in answers]
    return "\n".join([*lines, "", f"{sent} packets transmitted, {len(answers)} received, 0% packet loss, time 1ms"])


def test_all_answered_is_nothing_lost() -> None:
    assert losses(printed(3, "1", "2", "3"), 0.1) == Flood(3, 0, 0)


def test_what_is_missing_is_counted_with_the_longest_silence() -> None:
    assert losses(printed(9, "1", "4", "5", "7", "8", "9"), 0.1) == Flood(9, 3, 0.2)


def test_an_answer_that_comes_twice_hides_no_loss() -> None:
    twice = losses(printed(6, "1", "2", "2", "2", "5", "6"), 0.1)
    assert (twice.lost, twice.longest) == (2, 0.2)


def test_order_does_not_matter() -> None:
    assert losses(printed(4, "2", "1", "4"), 0.1) == Flood(4, 1, 0.1)


def test_the_last_one_may_be_on_its_way_and_silence_at_the_end_counts() -> None:
    assert losses(printed(3, "1", "2"), 0.1).lost == 0
    assert losses(printed(5, "1", "2"), 0.1).lost == 2
    assert losses(printed(4), 0.1).lost == 3
