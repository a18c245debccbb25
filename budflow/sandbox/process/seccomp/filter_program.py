"""A profile, as Docker reads it, as a program of classic BPF for the kernel: what `bwrap --seccomp` is handed.

Sources: seccomp(2), linux/filter.h, linux/seccomp.h. A program is a list of instructions of 8 bytes; it looks at the
call's number, at the machine's kind and at the six arguments, and returns what to do.
"""

import errno
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from budflow.sandbox.process.seccomp.machines import Machine

_LOAD, _RETURN = 0x20, 0x06  # A 32-bit word of the call; a constant.
_IF_EQUAL, _IF_GREATER, _IF_NOT_LESS, _AND = 0x15, 0x25, 0x35, 0x54
_NUMBER, _AUDIT, _ARGUMENTS = 0, 4, 16  # Offsets in struct seccomp_data.
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_WORD = 0xFFFFFFFF
_INSTRUCTIONS_MAX = 4096

_Instruction = tuple[int, int, int, int]  # Code, jump when true, jump when false, constant.


def filter_program(profile: Mapping[str, Any], machine: Machine) -> bytes:
    """The program for one kind of machine; calls of another kind end the process. Raises ValueError."""
    allowed: set[int] = set()
    special: dict[int, list[Sequence[_Instruction]]] = {}
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            number = machine.numbers.get(name)
            if number is None:
                continue  # Such as `open`, which newer kinds of machines do not have.
            if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args"):
                allowed.add(number)
            else:
                special.setdefault(number, []).append(_decision(rule))
    program = [
        *_when_unlike(_AUDIT, machine.audit, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *([] if machine.foreign_from is None else [(_IF_NOT_LESS, 0, 1, machine.foreign_from), _return(_KILL)]),
    ]
    refusal = _return(_answer(profile["defaultAction"], profile.get("defaultErrnoRet")))
    for number, decisions in sorted(special.items()):
        block = [instruction for decision in decisions for instruction in decision]
        program += [(_IF_EQUAL, 0, len(block) + 1, number), *block, refusal]
    for first, last in _runs(allowed - special.keys()):
        program += [(_IF_GREATER, 3, 0, last), (_IF_NOT_LESS, 1, 0, first), refusal, _return(_ALLOW)]
    program.append(refusal)
    if len(program) > _INSTRUCTIONS_MAX:
        raise ValueError(f"the profile takes {len(program)} instructions, and the kernel {_INSTRUCTIONS_MAX}")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def unknown_names(profile: Mapping[str, Any], machines: Iterable[Machine]) -> set[str]:
    """The names in a profile that are no system call of any of the machines."""
    known = {name for machine in machines for name in machine.numbers}
    return {name for rule in profile["syscalls"] for name in rule["names"]} - known


def _decision(rule: Mapping[str, Any]) -> Sequence[_Instruction]:
    """What a rule says when all its conditions hold; when one does not, the next rule of the same call is asked."""
    decision: list[_Instruction] = [_return(_answer(rule["action"], rule.get("errnoRet")))]
    for condition in reversed(rule.get("args", ())):
        decision = [*_condition(condition, len(decision)), *decision]
    return decision


def _condition(condition: Mapping[str, Any], skip: int) -> list[_Instruction]:
    """Compare all 64 bits of an argument; go on when it holds, else `skip` the instructions that follow."""
    match condition["op"]:
        case "SCMP_CMP_EQ":
            mask, value = _WORD << 32 | _WORD, condition["value"]
        case "SCMP_CMP_MASKED_EQ":
            mask, value = condition["value"], condition["valueTwo"]
        case other:
            raise ValueError(f"no program is made of the comparison {other}")
    instructions: list[_Instruction] = []
    for shift in (0, 32):
        part, wanted = mask >> shift & _WORD, value >> shift & _WORD
        if part:
            # Both kinds of machines are little-endian: the lower half comes first.
            comparison: list[_Instruction] = [(_LOAD, 0, 0, _ARGUMENTS + 8 * condition["index"] + shift // 8)]
            if part != _WORD:
                comparison.append((_AND, 0, 0, part))
            comparison.append((_IF_EQUAL, 0, skip + len(instructions), wanted))
            instructions = [*comparison, *instructions]
    return instructions


def _when_unlike(offset: int, value: int, answer: int) -> list[_Instruction]:
    return [(_LOAD, 0, 0, offset), (_IF_EQUAL, 1, 0, value), _return(answer)]


def _answer(action: str, number: int | None) -> int:
    match action:
        case "SCMP_ACT_ALLOW":
            return _ALLOW
        case "SCMP_ACT_ERRNO":
            return _ERRNO | (errno.EPERM if number is None else number)
        case _:
            raise ValueError(f"no program is made of the action {action}")


def _return(value: int) -> _Instruction:
    return (_RETURN, 0, 0, value)


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as runs from a first to a last one, in order."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
