"""Ways to change a dataset, whose files are writable for everyone on the host."""

from collections.abc import Iterator

import pytest

from tests.compute.backends.laboratory import Laboratory

pytestmark = pytest.mark.sandbox
READ_ONLY = "EROFS"


@pytest.fixture(autouse=True)
def _unchanged(laboratory: Laboratory) -> Iterator[None]:
    image = laboratory.granted / "image.dcm"
    before = image.stat()
    yield
    after = image.stat()
    assert image.read_text() == "pixels of granted"
    kept = ("st_mode", "st_mtime_ns", "st_ctime_ns", "st_nlink", "st_ino")
    assert [getattr(before, name) for name in kept] == [getattr(after, name) for name in kept]
    assert [path.name for path in laboratory.granted.iterdir()] == ["image.dcm"]


def _told(laboratory: Laboratory, action: str) -> object:
    path = "path = '/datasets/granted/image.dcm'"
    return laboratory.python(f"{path}\ntell(attempt(lambda: {action}))").told


def test_a_dataset_cannot_be_written(laboratory: Laboratory) -> None:
    assert _told(laboratory, "open(path, 'r+')") == READ_ONLY


def test_a_dataset_cannot_be_appended_to(laboratory: Laboratory) -> None:
    assert _told(laboratory, "open(path, 'a')") == READ_ONLY


def test_a_dataset_cannot_be_truncated(laboratory: Laboratory) -> None:
    assert _told(laboratory, "os.truncate(path, 0)") == READ_ONLY


def test_a_file_cannot_be_added_to_a_dataset(laboratory: Laboratory) -> None:
    assert _told(laboratory, "open('/datasets/granted/new', 'w')") == READ_ONLY


def test_modes_of_a_dataset_cannot_be_changed(laboratory: Laboratory) -> None:
    assert _told(laboratory, "os.chmod(path, 0o600)") == READ_ONLY


def test_a_datasets_file_cannot_be_deleted(laboratory: Laboratory) -> None:
    assert _told(laboratory, "os.unlink(path)") == READ_ONLY


def test_a_datasets_file_cannot_be_renamed(laboratory: Laboratory) -> None:
    assert _told(laboratory, "os.rename(path, path + '.old')") == READ_ONLY


def test_a_datasets_file_cannot_be_hard_linked_to_scratch(laboratory: Laboratory) -> None:
    assert _told(laboratory, "os.link(path, '/work/image.dcm')") == "EXDEV"


def test_times_of_a_dataset_cannot_be_changed(laboratory: Laboratory) -> None:
    assert _told(laboratory, "os.utime(path, (0, 0))") == READ_ONLY


def test_attributes_of_a_dataset_cannot_be_changed(laboratory: Laboratory) -> None:
    assert _told(laboratory, "os.setxattr(path, 'user.mark', b'x')") == READ_ONLY


def test_a_read_descriptor_cannot_be_reopened_for_writing(laboratory: Laboratory) -> None:
    action = "open(f'/proc/self/fd/{os.open(path, os.O_RDONLY)}', 'r+')"
    assert _told(laboratory, action) == READ_ONLY


def test_a_shared_mapping_cannot_be_made_writable(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        import mmap
        file = os.open('/datasets/granted/image.dcm', os.O_RDONLY)
        def write():
            return mmap.mmap(file, 6, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        tell(attempt(write))
        """
    ).told
    assert told == "EACCES"


def test_a_dataset_cannot_be_remounted_writable(laboratory: Laboratory) -> None:
    remount_bind = 0x20 | 0x1000
    program = f"tell(call('mount', b'none', b'/datasets/granted', None, {remount_bind}, None))"
    assert laboratory.python(program).told == "EPERM"


def test_a_dataset_cannot_be_unmounted(laboratory: Laboratory) -> None:
    assert laboratory.python("tell(call('umount2', b'/datasets/granted', 2))").told == "EPERM"


def test_a_mount_cannot_be_changed_by_the_new_calls(laboratory: Laboratory) -> None:
    told = laboratory.python(
        """
        writable = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
        tell([call('mount_setattr', -100, b'/datasets/granted', 0, writable, 32),
              call('open_tree', -100, b'/datasets/granted', 1), call('fsopen', b'tmpfs', 0),
              call('move_mount', -100, b'/work', -100, b'/datasets/granted', 0)])
        """
    ).told
    assert told == ["EPERM"] * 4
