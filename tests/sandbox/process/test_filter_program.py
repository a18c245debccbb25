"""The filter, run by a small machine of our own, decides as the profile says, for every call and both machines."""

import errno
import struct
from typing import Any

import pytest

from budflow.sandbox.docker.seccomp import profile
from budflow.sandbox.process.seccomp.filter_program import filter_program, unknown_names
from budflow.sandbox.process.seccomp.machines import MACHINES, Machine

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def decision(program: bytes, machine: Machine, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the kernel would do: classic BPF over struct seccomp_data."""
    given = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", number, machine.audit if audit is None else audit, 0, *(one % 2**64 for one in given))
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        code, when_true, when_false, constant = instructions[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                accumulator &= constant
            case 0x06:
                return int(constant)
            case 0x15:
                at += when_true if accumulator == constant else when_false
            case 0x25:
                at += when_true if accumulator > constant else when_false
            case 0x35:
                at += when_true if accumulator >= constant else when_false
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]


@pytest.fixture
def program(machine: Machine) -> bytes:
    return filter_program(profile(internet=False), machine)


def test_every_call_is_decided_as_the_profile_of_containers_decides_it(machine: Machine, program: bytes) -> None:
    rules: dict[str, list[dict[str, Any]]] = {}
    for rule in profile(internet=False)["syscalls"]:
        for name in rule["names"]:
            rules.setdefault(name, []).append(rule)

    for name, number in machine.numbers.items():
        if any(rule.get("args") or rule["action"] != "SCMP_ACT_ALLOW" for rule in rules.get(name, [])):
            continue  # Tried one by one below.
        assert decision(program, machine, number, 7, 7, 7) == (ALLOW if name in rules else REFUSE), name


def test_only_unix_sockets_may_be_made(machine: Machine, program: bytes) -> None:
    for name in ("socket", "socketpair"):
        decided = {family: decision(program, machine, machine.numbers[name], family, 1, 0) for family in range(64)}
        assert {family for family, what in decided.items() if what == ALLOW} == {1}
        assert decision(program, machine, machine.numbers[name], 1 << 32 | 1, 1, 0) == REFUSE


def test_processes_and_threads_may_be_made_and_namespaces_may_not(machine: Machine, program: bytes) -> None:
    clone = machine.numbers["clone"]
    assert decision(program, machine, clone, 17) == ALLOW
    assert decision(program, machine, clone, 0x3D0F00) == ALLOW  # Those of pthread_create.
    for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert decision(program, machine, clone, flag | 17) == REFUSE
    assert decision(program, machine, machine.numbers["clone3"], 7) == UNKNOWN


def test_only_the_limits_of_the_process_itself_may_be_changed(machine: Machine, program: bytes) -> None:
    assert decision(program, machine, machine.numbers["prlimit64"], 0, 7) == ALLOW
    assert decision(program, machine, machine.numbers["prlimit64"], 1, 7) == REFUSE


def test_nothing_is_typed_into_a_terminal(machine: Machine, program: bytes) -> None:
    assert decision(program, machine, machine.numbers["ioctl"], 0, 0x5412) == REFUSE
    assert decision(program, machine, machine.numbers["ioctl"], 0, 0x541C) == REFUSE
    assert decision(program, machine, machine.numbers["ioctl"], 0, 0x5413) == ALLOW


def test_programs_of_another_machine_are_killed(machine: Machine, program: bytes) -> None:
    others = {one.audit for one in MACHINES.values()} | {0x40000003, 0x40000028}  # i386 and arm.
    for audit in others - {machine.audit}:
        assert decision(program, machine, machine.numbers["read"], audit=audit) == KILL


def test_the_x32_table_is_killed() -> None:
    machine = MACHINES["x86_64"]
    program = filter_program(profile(internet=False), machine)

    assert decision(program, machine, 0x40000000 | machine.numbers["read"]) == KILL


def test_calls_that_nobody_knows_are_refused(machine: Machine, program: bytes) -> None:
    for number in (999, 5000, 0x3FFFFFFF):
        assert decision(program, machine, number) == REFUSE


def test_with_the_internet_only_tcp_is_added(machine: Machine) -> None:
    program = filter_program(profile(internet=True), machine)

    socket = machine.numbers["socket"]
    assert decision(program, machine, socket, 2, 1 | 0o2000000, 6) == ALLOW
    assert decision(program, machine, socket, 10, 1, 0) == ALLOW
    assert decision(program, machine, socket, 2, 2, 17) == REFUSE
    assert decision(program, machine, socket, 2, 3, 1) == REFUSE
    assert decision(program, machine, socket, 40, 1, 0) == REFUSE


def test_the_profile_names_no_call_that_does_not_exist() -> None:
    assert unknown_names(profile(internet=True), MACHINES.values()) == set()


def test_no_two_calls_of_a_machine_have_one_number(machine: Machine) -> None:
    assert len(set(machine.numbers.values())) == len(machine.numbers)


def test_what_no_program_can_say_is_refused() -> None:
    rule: dict[str, Any] = {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW"}
    made_of = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}

    with pytest.raises(ValueError, match="SCMP_ACT_TRACE"):
        filter_program({**made_of, "defaultAction": "SCMP_ACT_TRACE"}, MACHINES["x86_64"])
    rule["args"] = [{"index": 0, "op": "SCMP_CMP_LT", "value": 1, "valueTwo": 0}]
    with pytest.raises(ValueError, match="SCMP_CMP_LT"):
        filter_program(made_of, MACHINES["x86_64"])
