"""The filter, run in a small interpreter of classic BPF: every rule, on both architectures."""

import errno
import platform
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.compute.backends import seccomp
from albufera.compute.backends.seccomp import ALLOW, KILL_PROCESS, Architecture, assemble, program
from albufera.compute.backends.syscalls import NEWEST_KNOWN, RULES, Argument, Rule

ERRNO = 0x00050000
WORD = st.integers(0, 2**32 - 1)
LONG = st.integers(0, 2**64 - 1)


def _verdict(code: bytes, number: int, architecture: int, arguments: tuple[int, ...] = ()) -> int:
    """Run the packed filter over one `struct seccomp_data` (linux/filter.h semantics)."""
    padded = (*arguments, *([0] * (6 - len(arguments))))
    data = struct.pack("=IIQ6Q", number, architecture, 0, *padded)
    steps = list(struct.iter_unpack("=HBBI", code))
    accumulator = position = 0
    while True:
        what, if_true, if_false, k = steps[position]
        position += 1
        if what == seccomp.LOAD:
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif what == seccomp.RETURN:
            return int(k)
        else:
            holds = {
                seccomp.JUMP_EQUAL: accumulator == k,
                seccomp.JUMP_GREATER: accumulator > k,
                seccomp.JUMP_ANY_BIT: bool(accumulator & k),
            }[what]
            position += if_true if holds else if_false


def _holds(condition: Argument, arguments: tuple[int, ...]) -> bool:
    low = arguments[condition.index] & 0xFFFFFFFF
    if condition.bits:
        return bool(low & condition.bits)
    return (low in condition.values) is condition.among


def _expected(rules: tuple[Rule, ...], column: int, number: int, arguments: tuple[int, ...]) -> int:
    if number > NEWEST_KNOWN:
        return ERRNO | errno.ENOSYS
    for rule in rules:
        if rule.numbers[column] == number and all(_holds(c, arguments) for c in rule.conditions):
            return ERRNO | rule.errno
    return ALLOW


@pytest.mark.parametrize("architecture", Architecture)
@given(number=st.one_of(st.integers(0, 500), WORD), arguments=st.tuples(*[LONG] * 6))
def test_the_filter_does_what_the_table_says(
    architecture: Architecture, number: int, arguments: tuple[int, ...]
) -> None:
    code = program(architecture)
    expected = _expected(RULES, architecture.column, number, arguments)
    assert _verdict(code, number, architecture.audit, arguments) == expected


@pytest.mark.parametrize("architecture", Architecture)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_refuses_what_it_names(architecture: Architecture, rule: Rule) -> None:
    number = rule.numbers[architecture.column]
    if number is None:
        return  # the architecture does not have the call
    arguments = [0] * 6
    for condition in rule.conditions:
        some = condition.bits & -condition.bits or 12345
        if condition.among and condition.values:
            some = condition.values[-1]
        arguments[condition.index] = some | 1 << 40  # what lies above is not looked at
    verdict = _verdict(program(architecture), number, architecture.audit, tuple(arguments))
    assert verdict == ERRNO | rule.errno


@pytest.mark.parametrize("architecture", Architecture)
def test_ordinary_calls_pass(architecture: Architecture) -> None:
    column, code = architecture.column, program(architecture)
    numbers = {rule.name: rule.numbers[column] for rule in RULES}
    for name, arguments in (
        ("socket", (1, 1, 0)),
        ("clone", (0x3D0F00,)),  # a thread: VM FS FILES SIGHAND THREAD SYSVSEM SETTLS ...
        ("ioctl", (1, 0x5413)),  # TIOCGWINSZ
        ("openat", (0, 0, 0o101, 0o644)),
        ("openat", (0, 0, 0, 0o6777)),  # without O_CREAT the mode is whatever the register held
        ("fchmod", (3, 0o755)),
        ("personality", (0xFFFFFFFF,)),
    ):
        number = numbers[name]
        assert number is not None
        assert _verdict(code, number, architecture.audit, arguments) == ALLOW, name


@pytest.mark.parametrize("architecture", Architecture)
@given(foreign=WORD, number=WORD)
def test_code_of_another_architecture_dies(
    architecture: Architecture, foreign: int, number: int
) -> None:
    if foreign != architecture.audit:
        assert _verdict(program(architecture), number, foreign) == KILL_PROCESS


@pytest.mark.parametrize("architecture", Architecture)
def test_the_filter_is_one_the_kernel_takes(architecture: Architecture) -> None:
    steps = assemble(architecture)
    assert len(steps) <= 4096  # BPF_MAXINSNS
    for position, step in enumerate(steps):
        if step.code in (seccomp.JUMP_EQUAL, seccomp.JUMP_GREATER, seccomp.JUMP_ANY_BIT):
            assert position + 1 + max(step.if_true, step.if_false) < len(steps)
    assert steps[-1] == seccomp.Instruction(seccomp.RETURN, ALLOW)


def test_no_call_has_two_rules() -> None:
    for column in (0, 1):
        numbers = [rule.numbers[column] for rule in RULES if rule.numbers[column] is not None]
        assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("column", "header"),
    [
        (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (1, "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_the_kernels(column: int, header: str) -> None:
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    text = Path(header).read_text()
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", text, re.MULTILINE))
    compared = 0
    for rule in RULES:
        if rule.name in known:
            assert rule.numbers[column] == int(known[rule.name]), rule.name
            compared += 1
    assert compared > 60


def test_an_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(seccomp.UnknownArchitecture):
        seccomp.this_architecture()
