"""The system calls that a sandboxed process may not make, as data.

Numbers are (x86_64, aarch64), from the kernel's syscall tables; None where an architecture does
not have the call. Namespaces and the missing capabilities already stop most of these: the filter
is a second wall, and keeps rarely used kernel code out of reach.
"""

from dataclasses import dataclass
from errno import EAFNOSUPPORT, ENOSYS, EPERM
from socket import AF_UNIX

O_CREAT = 0o100
O_TMPFILE_BIT = 0o20000000
SET_ID_BITS = 0o6000
CLONE_NEW_ANY = 0x7E020000  # NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET
TIOCSTI, TIOCLINUX, TIOCCONS = 0x5412, 0x541C, 0x541D
PERSONALITY_DEFAULT, PERSONALITY_QUERY = 0, 0xFFFFFFFF

NEWEST_KNOWN = 469  # file_setattr, Linux 6.17: calls this table has not judged do not exist


@dataclass(frozen=True)
class Argument:
    """A condition on one argument's lower 32 bits (all the kernel looks at in these calls).

    Holds when the argument is (not, if `among` is False) one of `values`; or, with `bits`,
    when any of those bits is set.
    """

    index: int
    values: tuple[int, ...] = ()
    bits: int = 0
    among: bool = True


@dataclass(frozen=True)
class Rule:
    """Refuse the call `numbers` with `errno` when all of `conditions` hold (none: always)."""

    name: str
    numbers: tuple[int | None, int | None]
    errno: int = EPERM
    conditions: tuple[Argument, ...] = ()


_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes' memory and state
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # kernel code and kernel-side programs
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "memfd_secret": (447, 447),
    # the kernel's key rings are not in a namespace
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    # mounts and roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    # namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    # files by handle reach past the mount
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "file_setattr": (469, 469),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # the machine
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "syslog": (103, 116),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "lookup_dcookie": (212, 18),
    "vhangup": (153, 58),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
}

# Calls whose arguments lie in memory, where a filter cannot look, or that put work on threads of
# the kernel, which no filter sees. ENOSYS makes the C library fall back to the older call.
_ABSENT: dict[str, tuple[int | None, int | None]] = {
    "clone3": (435, 435),
    "openat2": (437, 437),
    "fchmodat2": (452, 452),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}


def _creates(flags: int, mode: int) -> tuple[Argument, ...]:
    return (Argument(flags, bits=O_CREAT | O_TMPFILE_BIT), Argument(mode, bits=SET_ID_BITS))


_NOT_UNIX = (Argument(0, values=(AF_UNIX,), among=False),)
_PERSONALITIES = (PERSONALITY_DEFAULT, PERSONALITY_QUERY)

# A set-user-id file in /outputs would keep its bit on the host, owned by the node's user.
_CONDITIONAL: tuple[Rule, ...] = (
    Rule("socket", (41, 198), EAFNOSUPPORT, _NOT_UNIX),
    Rule("socketpair", (53, 199), EAFNOSUPPORT, _NOT_UNIX),
    Rule("clone", (56, 220), EPERM, (Argument(0, bits=CLONE_NEW_ANY),)),
    Rule("ioctl", (16, 29), EPERM, (Argument(1, values=(TIOCSTI, TIOCLINUX, TIOCCONS)),)),
    Rule("personality", (135, 92), EPERM, (Argument(0, values=_PERSONALITIES, among=False),)),
    Rule("chmod", (90, None), EPERM, (Argument(1, bits=SET_ID_BITS),)),
    Rule("fchmod", (91, 52), EPERM, (Argument(1, bits=SET_ID_BITS),)),
    Rule("fchmodat", (268, 53), EPERM, (Argument(2, bits=SET_ID_BITS),)),
    Rule("creat", (85, None), EPERM, (Argument(1, bits=SET_ID_BITS),)),
    Rule("mknod", (133, None), EPERM, (Argument(1, bits=SET_ID_BITS),)),
    Rule("mknodat", (259, 33), EPERM, (Argument(2, bits=SET_ID_BITS),)),
    Rule("open", (2, None), EPERM, _creates(1, 2)),
    Rule("openat", (257, 56), EPERM, _creates(2, 3)),
)

RULES: tuple[Rule, ...] = (
    *_CONDITIONAL,
    *(Rule(name, numbers) for name, numbers in _REFUSED.items()),
    *(Rule(name, numbers, ENOSYS) for name, numbers in _ABSENT.items()),
)
