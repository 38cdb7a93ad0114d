"""Ways to files of the host, of other tenants, or of the node itself."""

import os
from pathlib import Path

import pytest

from tests.compute.backends.laboratory import Laboratory

pytestmark = pytest.mark.sandbox


def test_the_hosts_password_file_is_not_there(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        tell([attempt(lambda: open('/etc/shadow').read()), open('/etc/passwd').read(),
              sorted(os.listdir('/etc'))])
        """
    ).told
    assert told[0] == "ENOENT"
    assert len(told[1].splitlines()) == 2
    assert set(told[2]) <= {
        "alternatives",
        "group",
        "hosts",
        "ld.so.cache",
        "nsswitch.conf",
        "passwd",
    }


def test_home_folders_of_the_host_are_not_there(laboratory: Laboratory) -> None:
    told = laboratory.python("tell([os.listdir('/home'), os.path.exists('/root')])").told
    assert told == [["user"], False]
    assert Path.home() != Path("/home/user")


def test_the_root_holds_exactly_the_view(laboratory: Laboratory) -> None:
    told = laboratory.python("tell(sorted(os.listdir('/')))").told
    optional = {"lib32", "libx32"}
    assert set(told) - optional == {
        *("bin", "datasets", "dev", "etc", "home", "lib", "lib64", "opt", "outputs", "proc"),
        *("sbin", "tmp", "usr", "work"),
    }


def test_there_is_no_sys(laboratory: Laboratory) -> None:
    assert laboratory.python("tell(attempt(lambda: os.listdir('/sys')))").told == "ENOENT"


def test_the_neighbouring_series_cannot_be_named(laboratory: Laboratory) -> None:
    neighbour = laboratory.root / "lake" / "neighbour" / "image.dcm"
    assert neighbour.read_text() == "pixels of neighbour"
    told = laboratory.python(
        f"""
        paths = [{str(neighbour)!r}, '/datasets/granted/../neighbour/image.dcm',
                 '/datasets/neighbour/image.dcm', '/datasets/granted/../../neighbour/image.dcm']
        tell([attempt(lambda: open(path).read()) for path in paths]
             + [open('/datasets/granted/image.dcm').read(), os.listdir('/datasets')])
        """
    ).told
    assert told == ["ENOENT"] * 4 + ["pixels of granted", ["granted"]]


def test_climbing_from_an_open_folder_stays_inside(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        place = os.open('/datasets/granted', os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(40):
            place = os.open('..', os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
        tell([sorted(os.listdir(place)) == sorted(os.listdir('/')), 'lake' in os.listdir(place)])
        """
    ).told
    assert told == [True, False]


def test_a_link_inside_the_dataset_does_not_lead_out(laboratory: Laboratory) -> None:
    (laboratory.granted / "link").symlink_to(laboratory.root / "secret")
    (laboratory.granted / "climb").symlink_to("../neighbour")
    assert (laboratory.granted / "link").read_text() == "the patient's name"
    told = laboratory.python(
        """
        tell([attempt(lambda: open('/datasets/granted/link').read()),
              attempt(lambda: os.listdir('/datasets/granted/climb'))])
        """
    ).told
    assert told == ["ENOENT", "ENOENT"]


def test_a_link_planted_in_outputs_does_not_lead_out(laboratory: Laboratory) -> None:
    secret = laboratory.root / "secret"
    told = laboratory.python(
        f"""
        os.symlink({str(secret)!r}, '/outputs/result.csv')
        tell([attempt(lambda: open('/outputs/result.csv').read()),
              attempt(lambda: open('/outputs/result.csv', 'a').write('overwritten'))])
        """
    ).told
    assert told == ["ENOENT", "ENOENT"]
    assert secret.read_text() == "the patient's name"


def test_the_root_of_the_first_process_is_the_same_view(laboratory: Laboratory) -> None:
    told = laboratory.python(
        f"""
        tell([os.path.exists('/proc/1/root' + {str(laboratory.root)!r}),
              os.path.samefile('/proc/1/root', '/'), os.path.samefile('/proc/self/root', '/'),
              os.path.exists('/proc/1/cwd/../../..' + {str(laboratory.root)!r})])
        """
    ).told
    assert told == [False, True, True, False]


def test_the_executable_cannot_be_overwritten_through_proc(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        tell([attempt(lambda: open(path, 'r+b'))
              for path in ('/proc/self/exe', '/proc/1/exe', '/usr/bin/env', sys.executable)])
        """
    ).told
    assert set(told) <= {"EROFS", "ETXTBSY", "EACCES"}


def test_nothing_is_inherited_but_standard_streams(laboratory: Laboratory) -> None:
    leak = os.open(laboratory.root / "secret", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        told = laboratory.python(
            "tell([sorted(map(int, os.listdir('/proc/self/fd')))[:-1],"
            " [os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in (0, 1, 2)]])"
        ).told
    finally:
        os.close(leak)
    assert told == [[0, 1, 2], ["pipe"] * 3]


def test_the_first_process_holds_no_file_of_the_host(laboratory: Laboratory) -> None:
    told = laboratory.python(
        "tell([os.readlink(f'/proc/1/fd/{n}').split(':')[0] for n in os.listdir('/proc/1/fd')])"
    ).told
    assert set(told) <= {"pipe", "anon_inode"}


def test_files_cannot_be_opened_by_handle(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        handle, mount = ctypes.create_string_buffer(160), ctypes.c_int()
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_uint))[0] = 128
        tell([call('name_to_handle_at', -100, b'/datasets/granted', handle,
                   ctypes.byref(mount), 0), call('open_by_handle_at', -100, handle, 0)])
        """
    ).told
    assert told == ["EPERM", "EPERM"]


def test_the_nodes_own_code_is_hidden(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        try:
            from albufera.compute import ports
            tell('imported')
        except ImportError:
            tell('hidden')
        """
    ).told
    assert told == "hidden"


def test_the_run_directory_is_hidden(laboratory: Laboratory) -> None:
    program = f"tell(os.path.exists({str(laboratory.root)!r}))"
    assert laboratory.python(program).told is False


def test_nothing_but_the_four_folders_can_be_written(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        folders = {base for base, _, _ in os.walk('/') if not base.startswith('/proc/')}
        written = []
        for folder in folders:
            try:
                os.close(os.open(folder + '/planted', os.O_CREAT | os.O_WRONLY))
                written.append(folder)
            except OSError:
                pass
        tell(sorted(written))
        """
    ).told
    assert told == ["/dev/shm", "/home/user", "/outputs", "/tmp", "/work"]


def test_work_home_and_outputs_are_the_runs_own(laboratory: Laboratory) -> None:
    launch = laboratory.launch(
        "sh", "-c", "pwd; for f in work home/user outputs; do echo kept > /$f/file; done"
    )
    outcome = laboratory.finish(laboratory.runner.start(launch))
    assert outcome.text == "/work\n"
    for folder in (launch.work, launch.home, launch.outputs):
        assert (folder / "file").read_text() == "kept\n"


def test_tmp_is_private_and_gone_afterwards(laboratory: Laboratory) -> None:
    first = laboratory.python("open('/tmp/mark', 'w').write('x'); tell(os.listdir('/tmp'))")
    assert first.told == ["mark"]
    assert laboratory.python("tell(os.listdir('/tmp'))").told == []
