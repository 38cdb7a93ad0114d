"""Assembles the table of refused system calls into a seccomp filter (classic BPF).

The program is an array of `struct sock_filter` {u16 code, u8 jt, u8 jf, u32 k} over
`struct seccomp_data` {int nr, u32 arch, u64 ip, u64 args[6]} (linux/seccomp.h, linux/filter.h).
"""

import platform
import struct
from dataclasses import dataclass
from enum import Enum
from errno import ENOSYS

from albufera.compute.backends.syscalls import NEWEST_KNOWN, RULES, Argument, Rule

LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
OFFSET_NUMBER, OFFSET_ARCHITECTURE, OFFSET_ARGUMENTS = 0, 4, 16
ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
X32_BIT = 0x40000000
_ERRNO = 0x00050000


class Architecture(Enum):
    """Machines the table has numbers for: (column in the table, AUDIT_ARCH value)."""

    X86_64 = (0, 0xC000003E)
    AARCH64 = (1, 0xC00000B7)

    @property
    def column(self) -> int:
        """Which of a rule's numbers is meant."""
        return self.value[0]

    @property
    def audit(self) -> int:
        """What the kernel calls this architecture in `seccomp_data.arch`."""
        return self.value[1]


class UnknownArchitecture(Exception):
    """There is no table of system calls for this machine."""


@dataclass(frozen=True)
class Instruction:
    """One BPF instruction; jumps are relative and only forward."""

    code: int
    k: int
    if_true: int = 0
    if_false: int = 0

    def packed(self) -> bytes:
        """The eight bytes of `struct sock_filter`, in this machine's byte order."""
        return struct.pack("=HBBI", self.code, self.if_true, self.if_false, self.k)


def this_architecture() -> Architecture:
    """The architecture of this machine; raises UnknownArchitecture."""
    names = {"x86_64": Architecture.X86_64, "aarch64": Architecture.AARCH64}
    try:
        return names[platform.machine()]
    except KeyError:
        raise UnknownArchitecture(platform.machine()) from None


def program(architecture: Architecture, rules: tuple[Rule, ...] = RULES) -> bytes:
    """The filter as the kernel and bubblewrap's `--seccomp` take it."""
    return b"".join(step.packed() for step in assemble(architecture, rules))


def assemble(architecture: Architecture, rules: tuple[Rule, ...] = RULES) -> list[Instruction]:
    """The filter as instructions: foreign code dies, unknown calls do not exist, then the rules."""
    steps = [
        Instruction(LOAD, OFFSET_ARCHITECTURE),
        Instruction(JUMP_EQUAL, architecture.audit, if_true=1),
        Instruction(RETURN, KILL_PROCESS),
        Instruction(LOAD, OFFSET_NUMBER),
        # also catches the x32 calls of x86_64, whose numbers carry X32_BIT
        Instruction(JUMP_GREATER, NEWEST_KNOWN, if_false=1),
        Instruction(RETURN, _ERRNO | ENOSYS),
    ]
    for rule in rules:
        number = rule.numbers[architecture.column]
        if number is not None:
            steps += _refuse(number, rule)
    steps.append(Instruction(RETURN, ALLOW))
    return steps


def _refuse(number: int, rule: Rule) -> list[Instruction]:
    body = [Instruction(RETURN, _ERRNO | rule.errno)]
    for condition in reversed(rule.conditions):
        body = _when(condition, body)
    if rule.conditions:
        body.append(Instruction(RETURN, ALLOW))  # not met; the number is no longer loaded
    return [Instruction(JUMP_EQUAL, number, if_false=len(body)), *body]


def _when(condition: Argument, then: list[Instruction]) -> list[Instruction]:
    """Load the argument's lower half and fall into `then` if the condition holds, else past it."""
    low = OFFSET_ARGUMENTS + 8 * condition.index  # both architectures are little-endian
    past = len(then)
    load = Instruction(LOAD, low)
    if condition.bits:
        return [load, Instruction(JUMP_ANY_BIT, condition.bits, if_false=past), *then]
    tests = []
    for left, value in reversed(list(enumerate(reversed(condition.values)))):
        if condition.among:  # equal: into `then`; last one unequal: past it
            last = past if left == 0 else 0
            tests.append(Instruction(JUMP_EQUAL, value, if_true=left, if_false=last))
        else:  # equal: past `then`
            tests.append(Instruction(JUMP_EQUAL, value, if_true=left + past))
    return [load, *tests, *then]
