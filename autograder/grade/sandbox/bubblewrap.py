"""The judge's side of the sandbox: start the warm parent in bubblewrap, get a fresh child a submission, kill it.

Fails closed: without bubblewrap or the namespaces, `NoSandboxError` is raised and nothing is graded.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from autograder.grade.limits import Limits
from autograder.grade.result import Protection
from helpers.parts import ROOT

from .parent import ENVIRONMENT, HOW_TO_INSTALL, TRUSTED, NoSandboxError, WarmParent

INSIDE = Path(__file__).resolve().parent / "inside"
CPU = Path("/sys/devices/system/cpu")
VENV = Path("/python")  # where a virtual environment is seen inside: its own place may lie below a covered /tmp
COVERED = (Path("/tmp"), Path("/proc"), Path("/dev"))
DEVICES = ("null", "random", "urandom")  # no zero: mapped as shared it is memory that no process's figures show
PARENTS_DISK = str(256 << 20)  # bytes in the warm parent's own /tmp; a submission gets another one on top
START = "import sys; sys.path[:] = ['/course', *filter(None, sys.path)]; from inside.server import main; main()"


def find_bubblewrap() -> str:
    """Return the path of `bwrap`.

    Raises:
        NoSandboxError: it is not installed, or this is not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise NoSandboxError(
            f"The sandbox needs Linux; this is {sys.platform}. Use a Linux machine or container, or --trust."
        )
    found = shutil.which("bwrap")
    if found is None:
        raise NoSandboxError(f"bubblewrap (`bwrap`) is not installed. {HOW_TO_INSTALL} {TRUSTED}")
    return found


def visible_folders() -> list[Path]:
    """The folders of the system and of Python that the sandbox may read, none of them the instructor's."""
    folders = [] if sys.prefix == sys.base_prefix else [Path(sys.prefix)]
    folders += [Path("/usr"), Path("/etc/ld.so.cache"), Path("/etc/alternatives"), Path(sys.base_prefix)]
    folders += [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    folders += [Path(os.path.realpath(sys.executable)).parent.parent]
    kept: list[Path] = []
    for folder in folders:
        if folder.exists() and not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return kept


def seen_as(path: Path) -> Path:
    """Where a path of this machine is found inside the sandbox: a virtual environment is shown at `VENV`.

    Raises:
        NoSandboxError: the path lies where the sandbox has its own `/tmp`, `/proc` or `/dev`.
    """
    if sys.prefix != sys.base_prefix and path.is_relative_to(sys.prefix):
        return VENV / path.relative_to(sys.prefix)
    if any(path.is_relative_to(place) for place in COVERED):
        raise NoSandboxError(
            f"Python is installed in {path}, which the sandbox covers. Install it elsewhere, or add --trust."
        )
    return path


def instructors_own(visible: Iterable[Path]) -> list[Path]:
    """What lies in a visible folder and must not be seen: tests, solutions and results, installed or in a checkout."""
    sites = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    private = [path for site in dict.fromkeys(sites) for path in site.glob("autograder*")]
    private += [
        ROOT / name for name in ("autograder", "solutions", "notebooks", "tests", "build", "submissions", ".git")
    ]
    return [path for path in dict.fromkeys(private) if path.exists() and any(path.is_relative_to(v) for v in visible)]


def readable_helpers(scratch: Path, *, as_root: bool) -> Path:
    """The folder `helpers` in a form that the sandbox's user can read: itself, or a copy if its files are private."""
    source = ROOT / "helpers"
    private = (p for p in source.rglob("*") if not p.stat().st_mode & stat.S_IROTH and "__pycache__" not in p.parts)
    if not as_root or next(private, None) is None:
        return source
    copy = scratch / "helpers"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "recipes"))
    for path in [scratch, copy, *copy.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return copy


def hiding(private: Iterable[Path]) -> list[str]:
    """The options that cover what lies in a visible folder and must not be seen."""
    shown = [seen_as(folder) for folder in visible_folders()]
    line = []
    for hidden in private:
        for place in dict.fromkeys((seen_as(hidden), hidden)):
            if any(place.is_relative_to(folder) for folder in shown):
                covered = ["--tmpfs", str(place), "--remount-ro", str(place)]
                line += covered if hidden.is_dir() else ["--ro-bind", "/dev/null", str(place)]
    return line


def command_line(bwrap: str, fd: int, uid: int, helpers: Path, *, as_root: bool, models: bool) -> list[str]:
    """The bubblewrap command that starts the warm parent."""
    line = [bwrap, "--die-with-parent", "--new-session", "--clearenv"]
    line += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    line += ["--hostname", "sandbox"]
    if as_root:  # root needs no user namespace to make the others; the parent then leaves root by itself
        line += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    made: set[Path] = set()

    def parents(path: Path) -> None:
        for parent in reversed(path.parents):
            if parent != Path("/") and parent not in made:
                made.add(parent)
                line.extend(["--perms", "0755", "--dir", str(parent)])

    def bind(source: Path, target: Path | None = None) -> None:
        parents(target or source)
        line.extend(["--ro-bind", str(source), str(target or source)])

    for folder in visible_folders():
        bind(folder, seen_as(folder))
        made.add(seen_as(folder))
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        path = Path("/") / name
        if path.is_symlink():
            line += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            bind(path)
    line += hiding(instructors_own(visible_folders()))
    if CPU.is_dir():  # torch asks it which instructions there are; without it results differ in the last digit
        bind(CPU)
    bind(INSIDE, Path("/course/inside"))
    bind(helpers, Path("/course/helpers"))
    line += ["--proc", "/proc", "--tmpfs", "/dev", "--dir", "/dev/shm"]
    for name in DEVICES:
        line += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    line += ["--size", PARENTS_DISK, "--perms", "1777", "--tmpfs", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in ENVIRONMENT.items():
        line += ["--setenv", name, value]
    line += ["--chdir", "/tmp", "--", str(seen_as(Path(sys.executable))), "-s", "-c", START]
    return [*line, str(fd), str(uid), str(uid), str(int(models))]


def own_uid() -> int:
    """An unused user id for this worker's sandbox, so that its limits and files are shared with no other."""
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    wanted = 1_000_000_000 + os.getpid()
    if any(start <= wanted < start + count for start, _, count in ranges):
        return wanted
    return 65534


class Sandbox(WarmParent):
    """A warm parent in bubblewrap. Use `spawn` for a fresh child; one child lives at a time."""

    def __init__(
        self, limits: Limits | None = None, *, models: bool = True, patience: float = 900, as_root: bool | None = None
    ) -> None:
        """Start the parent and wait until it is warm.

        Args:
            limits: what a submission may use.
            models: load the embedded models before the first fork.
            patience: seconds to wait for the parent.
            as_root: make the namespaces as root; otherwise in a user namespace, as an ordinary user must. The default
                follows from who runs this.

        Raises:
            NoSandboxError: bubblewrap is missing, or the kernel refuses the namespaces.
        """
        bwrap = find_bubblewrap()
        as_root = os.geteuid() == 0 if as_root is None else as_root
        super().__init__(limits)
        helpers = readable_helpers(Path(self.scratch.name), as_root=as_root)
        uid = own_uid() if as_root else 65534
        line = command_line(bwrap, self.theirs.fileno(), uid, helpers, as_root=as_root, models=models)
        self._start(line, patience, Protection(sandboxed=True, bubblewrap=True))
