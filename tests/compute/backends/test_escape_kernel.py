"""Ways through the kernel: privileges, system calls, devices, terminals."""

import platform
import stat
import subprocess
from pathlib import Path

import pytest

from albufera.compute.backends.interpreter import this_interpreter
from albufera.compute.backends.sandbox import view
from tests.compute.backends.laboratory import Laboratory

pytestmark = pytest.mark.sandbox


def test_there_is_no_capability(laboratory: Laboratory) -> None:
    told = laboratory.python(
        "tell([line.split()[1] for line in open('/proc/self/status') if line.startswith('Cap')])"
    ).told
    assert told == ["0" * 16] * 5


def test_privileges_cannot_be_gained_and_the_filter_is_on(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        status = dict(line.split(':', 1) for line in open('/proc/self/status'))
        tell([status['NoNewPrivs'].strip(), status['Seccomp'].strip(), os.getuid(), os.getgid(),
              attempt(lambda: os.setuid(0)), attempt(lambda: os.setgroups([0]))])
        """
    ).told
    assert told == ["1", "2", 1000, 1000, "EINVAL", "EPERM"]


def test_set_user_id_programs_give_nothing(laboratory: Laboratory) -> None:
    programs = [p for p in (Path("/usr/bin/su"), Path("/usr/bin/mount")) if p.exists()]
    assert any(path.stat().st_mode & stat.S_ISUID for path in programs)
    told = laboratory.python(
        """
        flags = [os.statvfs(path).f_flag & os.ST_NOSUID for path in ('/usr', '/work', '/tmp')]
        tell([all(flags), os.system('su -c id >/dev/null 2>&1') != 0,
              os.system('mount -t tmpfs none /tmp >/dev/null 2>&1') != 0])
        """
    ).told
    assert told == [True, True, True]


def test_set_id_bits_cannot_be_planted_for_the_host(laboratory: Laboratory) -> None:
    launch_before = laboratory.runs
    told = laboratory.python(
        """
        open('/outputs/tool', 'w').close()
        descriptor = os.open('/outputs/tool', os.O_RDWR)
        folder = os.open('/outputs', os.O_RDONLY)
        create = os.O_CREAT | os.O_WRONLY
        tell([attempt(lambda: os.chmod('/outputs/tool', 0o4755)),
              attempt(lambda: os.chmod('/outputs/tool', 0o2755)),
              attempt(lambda: os.fchmod(descriptor, 0o4755)),
              attempt(lambda: os.chmod('tool', 0o4755, dir_fd=folder)),
              attempt(lambda: os.open('/outputs/two', create, 0o4755)),
              attempt(lambda: os.mknod('/outputs/three', 0o104755)),
              call('fchmodat2', folder, b'tool', 0o4755, 0),
              call('openat2', folder, b'four', ctypes.create_string_buffer(24), 24)])
        """
    ).told
    assert told == ["EPERM"] * 6 + ["ENOSYS"] * 2
    outputs = laboratory.root / f"run-{launch_before + 1}" / "outputs"
    assert not any(path.stat().st_mode & 0o6000 for path in outputs.iterdir())


def test_a_user_namespace_cannot_be_made(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        new_user, new_network = 0x10000000, 0x40000000
        tell([call('unshare', new_user), call('clone', new_user | 17, 0, 0, 0, 0),
              call('clone', new_network | 17, 0, 0, 0, 0),
              call('clone3', ctypes.create_string_buffer(88), 88),
              os.system('unshare -U true 2>/dev/null') != 0,
              os.system('bwrap --ro-bind / / true 2>/dev/null') != 0])
        """
    ).told
    assert told == ["EPERM"] * 3 + ["ENOSYS", True, True]


def test_user_namespaces_are_switched_off_even_without_the_filter(laboratory: Laboratory) -> None:
    launch = laboratory.launch("true")
    launch.run_dir.mkdir()
    options = view(launch, this_interpreter())
    command = ["bwrap", *options, "--", "unshare", "-U", "true"]
    assert "--seccomp" not in command
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tried.returncode != 0
    assert "unshare failed" in tried.stderr


def test_the_identity_map_cannot_be_rewritten(laboratory: Laboratory) -> None:
    told = laboratory.python("tell(attempt(lambda: open('/proc/self/uid_map', 'w')))").told
    assert told == "EROFS"


def test_nothing_can_be_mounted(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        tell([call('mount', b'tmpfs', b'/work', b'tmpfs', 0, None),
              call('pivot_root', b'/work', b'/work'), call('chroot', b'/work')])
        """
    ).told
    assert told == ["EPERM"] * 3


def test_a_device_node_cannot_be_made(laboratory: Laboratory) -> None:
    told = laboratory.python(
        "tell(attempt(lambda: os.mknod('/work/disk', 0o060666, os.makedev(254, 0))))"
    ).told
    assert told == "EPERM"


def test_dev_holds_exactly_the_harmless_devices(laboratory: Laboratory) -> None:
    told = laboratory.python("tell([sorted(os.listdir('/dev')), os.listdir('/dev/pts')])").told
    assert told == [
        [
            *("core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin"),
            *("stdout", "tty", "urandom", "zero"),
        ],
        ["ptmx"],
    ]


def test_the_hosts_devices_cannot_be_chmodded(laboratory: Laboratory) -> None:
    names = ("full", "null", "random", "tty", "urandom", "zero")
    before = [Path("/dev", name).stat().st_mode for name in names]
    laboratory.python(
        f"tell([attempt(lambda: os.chmod('/dev/' + name, 0o600)) for name in {names!r}])"
    )
    assert [Path("/dev", name).stat().st_mode for name in names] == before


def test_the_devices_work(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        open('/dev/null', 'w').write('x')
        tell([len(open('/dev/urandom', 'rb').read(8)), open('/dev/zero', 'rb').read(2).hex()])
        """
    ).told
    assert told == [8, "0000"]


def test_standard_input_is_no_file_of_the_host(laboratory: Laboratory) -> None:
    before = Path("/dev/null").stat().st_mode
    told = laboratory.python("tell([os.read(0, 1).hex(), attempt(lambda: os.fchmod(0, 0))])").told
    assert told[0] == ""
    assert Path("/dev/null").stat().st_mode == before


def test_there_is_no_terminal_to_speak_to(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        import fcntl
        tell([attempt(lambda: open('/dev/tty')), os.isatty(0), os.isatty(1), os.getsid(0) != 0])
        """
    ).told
    assert told[:3] == ["ENXIO", False, False]


def test_input_cannot_be_pushed_into_a_terminal(laboratory: Laboratory) -> None:
    push, console = 0x5412, 0x541C
    told = laboratory.python(
        f"""
        import pty
        _, terminal = pty.openpty()
        high = ctypes.c_ulong({push} | 1 << 32)
        tell([call('ioctl', terminal, {push}, b'x'), call('ioctl', terminal, {console}, b'x'),
              call('ioctl', ctypes.c_ulong(terminal), high, b'x'), os.isatty(terminal)])
        """
    ).told
    assert told == ["EPERM", "EPERM", "EPERM", True]


def test_the_kernels_key_rings_are_out_of_reach(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        tell([call('keyctl', 0, -3, 0), call('add_key', b'user', b'a', b'b', 1, -3),
              call('request_key', b'user', b'a', None, -3)])
        """
    ).told
    assert told == ["EPERM"] * 3


def test_kernel_programs_cannot_be_loaded(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        area = ctypes.create_string_buffer(256)
        tell([call('bpf', 0, area, 120), call('init_module', area, 8, b''),
              call('finit_module', 0, b'', 0), call('kexec_load', 0, 0, None, 0)])
        """
    ).told
    assert told == ["EPERM"] * 4


def test_the_kernel_cannot_be_watched(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        area = ctypes.create_string_buffer(256)
        tell([call('perf_event_open', area, 0, -1, -1, 0), call('userfaultfd', 1),
              call('fanotify_init', 0, 0), call('kcmp', 1, 1, 0, 0, 0)])
        """
    ).told
    assert told == ["EPERM"] * 4


def test_the_kernel_log_cannot_be_read(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        tell([call('syslog', 3, ctypes.create_string_buffer(64), 64),
              attempt(lambda: open('/dev/kmsg')), attempt(lambda: open('/proc/kmsg').read(1))])
        """
    ).told
    assert told == ["EPERM", "ENOENT", "EACCES"]


def test_the_kernels_own_files_are_hidden(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        readable, shown = [], ('cpuinfo', 'filesystems', 'loadavg', 'meminfo', 'stat', 'uptime',
                               'version', 'sys', 'mounts', 'net', 'self', 'thread-self')
        for name in os.listdir('/proc'):
            if name.isdigit() or name in shown:
                continue
            try:
                if os.listdir('/proc/' + name) if os.path.isdir('/proc/' + name) \\
                        else open('/proc/' + name).read(1):
                    readable.append(name)
            except OSError:
                pass
        tell(readable)
        """
    ).told
    assert told == []


def test_kernel_settings_cannot_be_changed(laboratory: Laboratory) -> None:
    # as root, the user inside is root to the kernel's eyes when it checks these modes
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    told = laboratory.python(
        """
        refused = set()
        for base, _, names in os.walk('/proc/sys'):
            for name in names:
                refused.add(attempt(lambda: os.open(os.path.join(base, name), os.O_WRONLY)))
        tell(sorted(refused))
        """
    ).told
    assert set(told) <= {"EROFS", "EACCES", "EPERM"}
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_the_system_request_key_cannot_be_pressed(laboratory: Laboratory) -> None:
    told = laboratory.python("tell(attempt(lambda: open('/proc/sysrq-trigger', 'w')))").told
    assert told in {"EROFS", "EACCES", "ENOENT"}


def test_the_machine_cannot_be_stopped_or_its_clock_set(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        tell([call('reboot', 0xfee1dead, 672274793, 0x89ABCDEF, None),
              call('swapon', b'/work/x', 0), call('settimeofday', None, None),
              call('clock_settime', 0, None), call('acct', None), call('sethostname', b'x', 1)])
        """
    ).told
    assert told == ["EPERM"] * 6


def test_the_personality_cannot_be_changed(laboratory: Laboratory) -> None:
    no_randomize = 0x0040000
    program = f"tell([call('personality', {no_randomize}), call('personality', 0xffffffff)])"
    assert laboratory.python(program).told == ["EPERM", "did it: 0"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="32-bit calls of x86_64")
def test_a_32_bit_call_kills_the_program(laboratory: Laboratory) -> None:
    outcome = laboratory.python(
        """
        import mmap
        # mov eax, 20 (getpid of i386); int 0x80; ret
        code = bytes.fromhex('b814000000cd80c3')
        area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        area.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        tell('before'); sys.stdout.flush()
        ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        tell('after')
        """
    )
    assert outcome.told == "before"
    assert outcome.result.exit_code == 128 + 31  # SIGSYS


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 calls of x86_64")
def test_x32_calls_do_not_exist(laboratory: Laboratory) -> None:
    told = laboratory.python("tell([call(0x40000000 | 39), call(470), call(39)])").told
    assert told[:2] == ["ENOSYS", "ENOSYS"]
    assert told[2].startswith("did it")


def test_variables_of_the_node_do_not_leak(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALBUFERA_MASTER_KEY", "sesame-open")
    outcome = laboratory.run(
        "sh", "-c", "env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'", GIVEN="yes"
    )
    assert "sesame" not in outcome.text
    assert "ALBUFERA_MASTER_KEY" not in outcome.text
    assert str(laboratory.root) not in outcome.text
    names = {
        line.split("=")[0] for line in outcome.text.split("\n\n")[0].splitlines() if "=" in line
    }
    assert "GIVEN" in names


def test_the_machine_is_not_named(laboratory: Laboratory) -> None:
    assert laboratory.python("tell(socket.gethostname())").told == "sandbox"


def test_crashes_leave_no_core(laboratory: Laboratory) -> None:
    outcome = laboratory.python(
        """
        import resource
        tell([resource.getrlimit(resource.RLIMIT_CORE),
              attempt(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE, (10**6, 10**6)))])
        sys.stdout.flush()
        os.kill(os.getpid(), 11)
        """
    )
    assert outcome.told[0] == [0, 0]
    assert outcome.result.exit_code == 128 + 11
    assert list((laboratory.root / f"run-{laboratory.runs}" / "work").iterdir()) == []
