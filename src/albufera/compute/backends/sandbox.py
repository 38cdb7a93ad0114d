"""The sandbox: what a run sees, as arguments to bubblewrap, and the process that holds it."""

import contextlib
import fcntl
import math
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from albufera.compute.backends.interpreter import PROGRAMS, Interpreter, this_interpreter
from albufera.compute.backends.seccomp import program, this_architecture
from albufera.compute.ports import Launch

BUBBLEWRAP = "bwrap"
USER_ID = "1000"
ETC = {
    "passwd": "user:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "group": "user:x:1000:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost sandbox\n",
}
# of the kernel's own files in /proc, what programs read to size themselves
PROC_SHOWN = frozenset(
    ("cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys", "uptime", "version")
)
# (major, minor) of the memory devices and the terminal, Linux's admin-guide/devices.txt
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
TERMINAL = {"tty": (5, 0)}
SMALLEST_TMPFS = 16 * 2**20
PIPE_BYTES = 2**20  # the most an ordinary user may ask for (pipe(7), pipe-max-size)


@dataclass
class Sandbox:
    """A sandbox that was started.

    `output` reads what the command prints; `status` reads bubblewrap's JSON lines (the first
    process's id, then the exit code, absent if the command could not be executed).
    """

    process: "subprocess.Popen[bytes]"
    output: int
    status: int


def spawn(
    launch: Launch,
    *,
    prefix: tuple[str, ...] = (),
    before_exec: Callable[[], None] | None = None,
    bubblewrap: str = BUBBLEWRAP,
) -> Sandbox:
    """Start the launch's command in a new sandbox, behind `prefix` (a program of the sandbox).

    `before_exec` runs in the child between fork and exec. Nothing is inherited but a closed
    standard input and the pipes: neither variables nor descriptors.
    """
    output, output_end = _wide_pipe()
    status, status_end = os.pipe()
    input_end, nothing = os.pipe()
    os.close(nothing)  # an empty pipe: /dev/null of the host could be chmod-ed through it
    files = {f"/etc/{name}": _memory_file(text.encode()) for name, text in ETC.items()}
    filter_file = _memory_file(program(this_architecture()))
    arguments = [*view(launch, this_interpreter()), *_etc(files)]
    arguments += ["--remount-ro", "/"]
    arguments += ["--seccomp", str(filter_file), "--json-status-fd", str(status_end)]
    argument_file = _memory_file("\0".join(arguments).encode())
    handed = [*files.values(), filter_file, status_end, argument_file]
    found = shutil.which(bubblewrap) or bubblewrap
    command = [found, "--args", str(argument_file), "--", *prefix, *launch.command]
    try:
        process = subprocess.Popen(
            command,
            stdin=input_end,
            stdout=output_end,
            stderr=output_end,
            cwd="/",
            env={},
            pass_fds=handed,
            preexec_fn=before_exec,  # noqa: PLW1509 - the supervisor has one thread by then
        )
    except BaseException:
        os.close(output)
        os.close(status)
        raise
    finally:
        for descriptor in (input_end, output_end, *handed):
            os.close(descriptor)
    return Sandbox(process, output, status)


def _wide_pipe() -> tuple[int, int]:
    """A pipe with room for a burst of output, where the kernel allows it."""
    output, output_end = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return output, output_end


def view(launch: Launch, interpreter: Interpreter) -> list[str]:
    """bubblewrap's arguments: isolation, then everything that is visible, then variables."""
    arguments = _isolation() + _system() + _devices(launch) + _proc()
    arguments += interpreter.arguments()
    for mount in launch.datasets:
        arguments += ["--ro-bind", str(mount.host), f"/datasets/{mount.name}"]
    for host, inside in (
        (launch.home, "/home/user"),
        (launch.work, "/work"),
        (launch.outputs, "/outputs"),
    ):
        arguments += ["--bind", str(host), inside]
    arguments += ["--chdir", "/work"]
    for name, value in environment(launch, interpreter).items():
        arguments += ["--setenv", name, value]
    return arguments


def environment(launch: Launch, interpreter: Interpreter) -> dict[str, str]:
    """The variables inside: a minimal set, then the launch's own."""
    threads = str(math.ceil(launch.limits.cpus))
    return {
        "PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/home/user",
        "USER": "user",
        "LOGNAME": "user",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": "/tmp",  # noqa: S108 - the sandbox's own
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        **interpreter.environment(),
        **launch.environment,
    }


def _isolation() -> list[str]:
    return [
        *("--unshare-all", "--unshare-user", "--disable-userns"),
        *("--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL", "--clearenv"),
        *("--uid", USER_ID, "--gid", USER_ID, "--hostname", "sandbox"),
    ]


def _system() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for made in ("/etc", "/home", "/opt", PROGRAMS, "/datasets"):
        arguments += ["--perms", "0755", "--dir", made]
    for shown in ("/etc/ld.so.cache", "/etc/alternatives"):
        arguments += ["--ro-bind-try", shown, shown]
    return arguments


def _devices(launch: Launch) -> list[str]:
    """A new /dev, /tmp and /dev/shm, of bounded size."""
    size = str(max(launch.limits.memory_bytes // 4, SMALLEST_TMPFS))
    private = ["--perms", "1777", "--size", size, "--tmpfs"]
    arguments = ["--dev", "/dev"]
    for node in _own_devices(launch.run_dir):
        arguments += ["--dev-bind", str(node), f"/dev/{node.name}"]
    return [*arguments, *private, "/dev/shm", "--remount-ro", "/dev", *private, "/tmp"]  # noqa: S108


def _own_devices(run_dir: Path) -> list[Path]:
    """Device nodes of the run's own, where the host's belong to the node's user: root.

    An owner may change their mode, for the whole machine. (A read-only mount would be simpler;
    bubblewrap makes such a mount nodev.)
    """
    if Path("/dev/null").stat().st_uid != os.geteuid():
        return []
    folder = run_dir / "dev"
    folder.mkdir(mode=0o700, exist_ok=True)
    nodes = []
    for name, numbers in {**DEVICES, **TERMINAL}.items():
        node = folder / name
        with contextlib.suppress(FileExistsError):
            os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(*numbers))
            node.chmod(0o666)  # past the umask
        nodes.append(node)
    return nodes


def _proc() -> list[str]:
    """A new /proc without the kernel's own files but a few, and read-only as a whole.

    Where the node is root, the sandbox's user is root to the kernel's eyes when it checks the
    modes of /proc/sys (core_pattern!), without any capability: only the mount stands in the way.
    """
    arguments = ["--proc", "/proc"]
    for path in sorted(Path("/proc").iterdir()):
        if path.name in PROC_SHOWN or path.name.isdecimal() or path.is_symlink():
            continue
        if path.is_dir():
            arguments += ["--size", "4096", "--tmpfs", str(path), "--remount-ro", str(path)]
        else:
            arguments += ["--ro-bind", "/dev/null", str(path)]
    return [*arguments, "--remount-ro", "/proc"]


def _etc(files: dict[str, int]) -> list[str]:
    arguments: list[str] = []
    for path, descriptor in files.items():
        arguments += ["--perms", "0444", "--file", str(descriptor), path]
    return arguments


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    with contextlib.closing(os.fdopen(os.dup(descriptor), "wb")) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
