"""Tickets: good once, for a time, for one thing, by one key."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from budflow.sandbox.access import SandboxKeyUnreadable, SandboxTicketRefused, Tickets, make_key, read_key

KEY = b"k" * 32


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_ticket_says_what_it_is_for() -> None:
    tickets = Tickets(KEY)

    grant = tickets.redeem(tickets.issue("external", "p1", 60, image="sha256:a", memory_mb=512), "external")

    assert (grant.subject, grant.image, grant.memory_mb) == ("p1", "sha256:a", 512)


def test_it_is_good_once() -> None:
    tickets = Tickets(KEY)
    ticket = tickets.issue("requester", "p1", 60)
    tickets.redeem(ticket, "requester")

    with pytest.raises(SandboxTicketRefused):
        tickets.redeem(ticket, "requester")


def test_it_expires() -> None:
    clock = Clock()
    tickets = Tickets(KEY, now=clock)
    ticket = tickets.issue("requester", "p1", 60)
    clock.now += 60

    with pytest.raises(SandboxTicketRefused):
        tickets.redeem(ticket, "requester")


def test_that_of_another_kind_is_refused() -> None:
    tickets = Tickets(KEY)

    with pytest.raises(SandboxTicketRefused):
        tickets.redeem(tickets.issue("requester", "p1", 60), "external")


def test_that_of_another_worker_is_refused() -> None:
    tickets = Tickets(KEY)

    with pytest.raises(SandboxTicketRefused):
        tickets.redeem(tickets.issue("worker", "w1", 60), "worker", "w2")


def test_one_by_another_key_is_refused() -> None:
    with pytest.raises(SandboxTicketRefused):
        Tickets(KEY).redeem(Tickets(b"x" * 32).issue("requester", "p1", 60), "requester")


@given(st.text(max_size=300))
def test_no_text_is_a_ticket(text: str) -> None:
    with pytest.raises(SandboxTicketRefused):
        Tickets(KEY).redeem(text, "requester")


@given(st.data())
def test_none_can_be_changed(data: st.DataObject) -> None:
    tickets = Tickets(KEY)
    ticket = tickets.issue("requester", "p1", 60)
    at = data.draw(st.integers(0, 10_000)) % len(ticket)
    letter = data.draw(st.sampled_from("ABCxyz019-_."))
    changed = ticket[:at] + letter + ticket[at + 1 :]

    if changed != ticket:
        with pytest.raises(SandboxTicketRefused):
            tickets.redeem(changed, "requester")


def test_an_external_one_stays_used_over_a_restart(tmp_path: Path) -> None:
    first = Tickets(KEY, used=tmp_path / "used")
    ticket = first.issue("external", "p1", 60)
    first.redeem(ticket, "external")

    with pytest.raises(SandboxTicketRefused):
        Tickets(KEY, used=tmp_path / "used").redeem(ticket, "external")


def test_the_file_forgets_what_has_expired(tmp_path: Path) -> None:
    clock, used = Clock(), tmp_path / "used"
    first = Tickets(KEY, now=clock, used=used)
    first.redeem(first.issue("external", "p1", 60), "external")
    clock.now += 100

    Tickets(KEY, now=clock, used=used)

    assert used.read_text() == ""


def test_the_key_is_made_once_and_only_its_user_reads_it(tmp_path: Path) -> None:
    key = make_key(tmp_path)

    assert make_key(tmp_path) == key == read_key(tmp_path)
    assert (tmp_path / "sandbox.key").stat().st_mode & 0o777 == 0o600


def test_a_group_may_read_it_where_it_is_meant_to(tmp_path: Path) -> None:
    make_key(tmp_path, group=os.getgid())

    assert (tmp_path / "sandbox.key").stat().st_mode & 0o777 == 0o640


def test_a_file_that_holds_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "sandbox.key").write_bytes(b"short")

    with pytest.raises(SandboxKeyUnreadable, match="does not hold"):
        read_key(tmp_path)
    with pytest.raises(SandboxKeyUnreadable, match="cannot be read"):
        read_key(tmp_path / "none")


def test_a_disk_that_is_full_leaves_no_half_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_bytes: int) -> bytes:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr("budflow.sandbox.access.secrets.token_bytes", full)
        with pytest.raises(OSError, match="no space"):
            make_key(tmp_path)

    assert make_key(tmp_path) == read_key(tmp_path), "There is room again."


def test_what_a_full_disk_left_of_a_line_hides_no_other(tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.write_text("0123456789abcdef01234567 17")
    first = Tickets(KEY, used=used)
    ticket = first.issue("external", "p1", 60)
    used.write_text("0123456789abcdef01234567 1700")
    first.redeem(ticket, "external")

    with pytest.raises(SandboxTicketRefused):
        Tickets(KEY, used=used).redeem(ticket, "external")
