"""The Store on a POSIX file system (local disk, CephFS)."""

from albufera.lake.backends.filesystem.store import FileSystemStore

__all__ = ["FileSystemStore"]
