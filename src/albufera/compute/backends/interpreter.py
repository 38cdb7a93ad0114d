"""The node's Python as shown inside the sandbox: the interpreter and its libraries."""

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

HOME = "/opt/python"
LIBRARIES = "/opt/site-packages"
PROGRAMS = "/opt/bin"
# our own code, and the path files by which a development install points at it
_OWN = ("albufera*", "_albufera*", "__editable__*")


@dataclass(frozen=True)
class Interpreter:
    """Where Python is, outside.

    `base` is None when the interpreter lies under /usr, which is shown as it is;
    `program` is its path inside; `libraries` are the site-packages folders outside.
    """

    base: Path | None
    program: str
    version: str
    libraries: tuple[Path, ...]

    def arguments(self) -> list[str]:
        """bubblewrap's arguments that show it at /opt/python and /opt/site-packages."""
        arguments: list[str] = []
        if self.base is not None:
            arguments += ["--ro-bind", str(self.base), HOME]
            bundled = f"lib/python{self.version}/site-packages"
            if (self.base / bundled).is_dir():
                arguments += _empty(f"{HOME}/{bundled}")
        for outside, inside in zip(self.libraries, self.paths(), strict=True):
            arguments += ["--ro-bind", str(outside), inside]
            for pattern in _OWN:
                for own in sorted(outside.glob(pattern)):
                    arguments += _hide(own, f"{inside}/{own.name}")
        for name in ("python", "python3"):
            arguments += ["--symlink", self.program, f"{PROGRAMS}/{name}"]
        return arguments

    def paths(self) -> list[str]:
        """The libraries' folders inside, in the order of the search path."""
        return [LIBRARIES + ("" if n == 0 else f"-{n}") for n in range(len(self.libraries))]

    def environment(self) -> dict[str, str]:
        """The variables by which the interpreter inside finds its libraries."""
        variables = {"PYTHONPATH": ":".join(self.paths()), "PYTHONNOUSERSITE": "1"}
        if self.base is not None and any((self.base / "lib").glob("libpython*.so*")):
            variables["LD_LIBRARY_PATH"] = f"{HOME}/lib"
        return variables


def this_interpreter() -> Interpreter:
    """The Python that runs the node."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix).resolve()
    paths = sysconfig.get_paths()
    folders = dict.fromkeys(Path(paths[name]).resolve() for name in ("purelib", "platlib"))
    libraries = tuple(folder for folder in folders if folder.is_dir())
    if base.is_relative_to("/usr"):
        return Interpreter(None, f"{base}/bin/python{version}", version, libraries)
    return Interpreter(base, f"{HOME}/bin/python{version}", version, libraries)


def _empty(inside: str) -> list[str]:
    return ["--size", "4096", "--tmpfs", inside, "--remount-ro", inside]


def _hide(outside: Path, inside: str) -> list[str]:
    return _empty(inside) if outside.is_dir() else ["--ro-bind", "/dev/null", inside]
