"""What code in the sandbox can see, reach and use up: nearly nothing, and each limit holds."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from autograder.grade.judging.conversation import Conversation
from autograder.grade.judging.faults import StudentError
from autograder.grade.judging.standins import make_env
from autograder.grade.limits import Limits
from autograder.grade.sandbox import bubblewrap
from autograder.grade.sandbox.bubblewrap import COVERED, ROOT, VENV, NoSandboxError, Sandbox, command_line, seen_as
from tests.grade.samples import code

pytestmark = pytest.mark.sandbox
PROBES = """
import ctypes, json, os, resource, socket, subprocess, sys
def files(root):
    return [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
def listing(path): return sorted(os.listdir(path))
def environment(): return dict(os.environ)
def identity():
    return {"uid": os.getuid(), "pid": os.getpid(), "groups": os.getgroups(), "host": os.uname().nodename}
def capabilities():
    libc = ctypes.CDLL(None)
    return [libc.prctl(23, n, 0, 0, 0) for n in range(41)], libc.prctl(39, 0, 0, 0, 0), libc.prctl(21, 0, 0, 0, 0)
def syscall(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if name == "posix_fadvise": return -1, libc.posix_fadvise(*arguments)
    kinds = {int: ctypes.c_long, str: str.encode}
    result = getattr(libc, name)(*(kinds.get(type(a), lambda a: a)(a) for a in arguments))
    return result, ctypes.get_errno()
def limits():
    names = ("AS", "CPU", "FSIZE", "NOFILE", "NPROC", "CORE")
    return {name: list(resource.getrlimit(getattr(resource, "RLIMIT_" + name))) for name in names}
def descriptors():
    found = []
    for fd in range(1024):
        try: os.fstat(fd); found.append(fd)
        except OSError: pass
    return found
def interfaces(): return [name for _, name in socket.if_nameindex()] if hasattr(socket, "if_nameindex") else []
def writable():
    found = []
    for root, folders, _ in os.walk("/"):
        if root in ("/usr", "/sys", sys.prefix, sys.base_prefix): folders.clear()
        if os.access(root, os.W_OK): found.append(root)
    return found
def fill(path, size):
    written = 0
    try:
        for n in range(1000):
            with open(f"{path}/{n}", "wb") as file: written += file.write(b"x" * size)
    except OSError as error: return written, error.errno
    return written, 0
def leave_behind(path):
    with open(path, "w") as file: file.write("I was here")
    return os.path.exists(path)
def exists(path): return os.path.exists(path)
def memory(size): return len(b"x" * size)
def change(path):
    changed = []
    for call in (lambda: os.utime(path, (1, 1)), lambda: os.chmod(path, 0o777), lambda: os.setxattr(path, "user.left", b"1")):
        try: changed.append(call())
        except OSError: pass
    return len(changed)
def lock(path):
    import fcntl
    with open(path) as file:
        for take in (fcntl.flock, fcntl.lockf):
            try: take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno == 11: return "somebody else holds it"
    kept.append(open(path))
    fcntl.flock(kept[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    return "held"
kept = []
def what_torch_needs():
    import multiprocessing, tempfile, numpy, torch
    assert len(os.urandom(8)) == 8 and len(open("/dev/urandom", "rb").read(8)) == 8
    open(os.devnull, "w").write("x")
    shared = torch.zeros(1000).share_memory_()
    with multiprocessing.get_context("fork").Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
    with tempfile.TemporaryDirectory() as folder:
        torch.save(shared, f"{folder}/x.pt")
        assert torch.equal(torch.load(f"{folder}/x.pt"), shared)
        numpy.memmap(f"{folder}/x.dat", mode="w+", shape=10)[:] = 1
    return subprocess.run(["true"]).returncode
def stay():
    if os.fork() == 0:
        os.setsid()
        import time
        time.sleep(1000)
    return 1
"""
COVERED_HERE = Path(pytest.__file__).parent
NAMES = [line.split("(")[0][4:] for line in PROBES.splitlines() if line.startswith("def ")]


@pytest.fixture
def probe(sandbox: Sandbox) -> Iterator[Callable[..., Any]]:
    """Call a probe in a fresh child."""
    with Conversation(sandbox, code(PROBES), NAMES) as talk:
        env = make_env(talk, NAMES)
        yield lambda name, *arguments: env[name](*arguments)


@pytest.fixture(scope="module")
def other() -> Iterator[Sandbox]:
    """Another sandbox at the same time, in a user namespace, as it is made for whoever is not root.

    Something of the instructor's lies in a folder that it shows, so that it has to be covered.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "instructors_own", lambda visible: [COVERED_HERE])
        box = Sandbox(Limits(), models=False, as_root=False)
    with box:
        yield box


def test_no_test_no_solution_no_file_of_the_instructor(probe: Callable[..., Any]) -> None:
    assert probe("listing", "/course") == ["helpers", "inside"]
    assert set(probe("listing", "/")) <= {
        "bin", "course", "dev", "etc", "home", "lib", "lib32", "lib64", "opt", "proc", "python", "root", "sbin", "sys", "tmp",
        "usr",
        *(path.parts[1] for path in map(Path, (os.path.realpath("/proc/self/exe"), sys.prefix, sys.base_prefix))),
    }  # fmt: skip
    inside = probe("files", "/course")
    words = {part.split(".")[0] for name in inside for part in Path(name).parts}
    assert not words & {"solutions", "reference", "masters", "tests", "verify", "judge", "autograder"}
    for path in (
        ROOT / "solutions",
        ROOT / "autograder",
        ROOT / "tests",
        Path.home() / ".ssh",
        Path("/etc/passwd"),
        Path("/etc/shadow"),
    ):
        assert not probe("exists", str(path)), path


def test_no_other_process_no_environment_no_privilege(probe: Callable[..., Any]) -> None:
    os.environ["COURSE_SECRET"] = "1"
    environment = probe("environment")
    assert not {
        name for name in environment if name.startswith(("COURSE_SECRET", "COURSE_GRADING", "AWS", "SSH", "PYTEST"))
    }
    assert probe("listing", "/proc") == []
    identity = probe("identity")
    assert identity["uid"] == 1000
    assert identity["pid"] == 1
    assert identity["host"] == "sandbox"
    bounding, no_new_privileges, seccomp = probe("capabilities")
    assert set(bounding) == {0}
    assert no_new_privileges == 1
    assert seccomp == 2
    assert probe("descriptors") == [0, 1, 2, 3]


def test_the_kernel_refuses(probe: Callable[..., Any]) -> None:
    for name, arguments in (
        ("unshare", (0x10000000,)),
        ("unshare", (0x00020000,)),
        ("setns", (3, 0)),
        ("ptrace", (16, 1, 0, 0)),
        ("umount2", ("/proc", 2)),
        ("socket", (2, 1, 0)),
        ("socket", (10, 2, 0)),
        ("socket", (16, 3, 0)),
        ("setuid", (0,)),
        ("personality", (0,)),
        ("socket", (1, 1, 0)),
        ("socketpair", (1, 1, 0, None)),
        ("memfd_create", ("x", 0)),
        ("shmget", (0, 4096, 0o1600)),
        ("semget", (0, 100, 0o1600)),
        ("msgget", (0, 0o1600)),
        ("mincore", (None, 0, None)),
        ("madvise", (None, 0, 20)),
        ("madvise", (None, 0, 21 | 1 << 32)),
        ("posix_fadvise", (3, 0, 0, 4)),
        ("preadv2", (3, None, 0, 0, 8)),
        ("fcntl", (3, 1024, 0)),
        ("fcntl", (3, 1026, 0)),
        ("inotify_init", ()),
        ("mmap", (None, 4096, 3, 0x21, -1, 0)),
        ("mmap", (None, 4096, 3, 0x23, -1, 0)),
        ("mmap", (None, 4096, 3, 0x40022, -1, 0)),
        *(("syscall", (number, 0, 0, 0, 0, 0, 0)) for number in (425, 435, 442, 447, 451, 470, 511)),
    ):
        result, number = probe("syscall", name, *arguments)
        assert result == -1, (name, arguments)
        assert number in ((1, 12, 22, 38) if name != "syscall" else (38,)), (name, number)


def test_limits_are_set_and_cannot_be_raised(probe: Callable[..., Any], sandbox: Sandbox) -> None:
    found = probe("limits")
    wanted = sandbox.limits
    assert found["FSIZE"] == [wanted.file_size] * 2
    assert found["NOFILE"] == [wanted.open_files] * 2
    assert found["NPROC"] == [wanted.processes] * 2
    assert found["CORE"] == [0, 0]
    assert found["CPU"] == [wanted.cpu_seconds] * 2
    assert 0 < found["AS"][0] < 64 << 30


def test_the_disk_is_small_private_and_gone_afterwards(sandbox: Sandbox) -> None:
    for attempt in range(2):
        with Conversation(sandbox, code(PROBES), NAMES) as talk:
            env = make_env(talk, NAMES)
            writable = set(env["writable"]())
            assert {"/tmp/work", "/dev/shm"} <= writable
            for folder in writable:
                assert not env["exists"](f"{folder}/left"), f"what the run before left in {folder} is still there"
                assert env["leave_behind"](f"{folder}/left")
            if attempt == 0:
                written, error = env["fill"]("/tmp", 1 << 20)
                assert written <= sandbox.limits.disk
                assert error == 28
                written, error = env["fill"]("/dev/shm", 1 << 20)
                assert written <= 16 << 20
    assert not [folder for folder in writable if (Path(folder) / "left").exists()]


def test_memory(probe: Callable[..., Any]) -> None:
    assert probe("memory", 1 << 20) == 1 << 20
    with pytest.raises(StudentError, match="MemoryError"):
        probe("memory", 8 << 30)


def test_nothing_outlives_its_run(sandbox: Sandbox) -> None:
    at_rest = len(psutil.Process(sandbox.process.pid).children(recursive=True))
    with Conversation(sandbox, code(PROBES), NAMES) as talk:
        assert make_env(talk, NAMES)["stay"]() == 1
        assert len(psutil.Process(sandbox.process.pid).children(recursive=True)) > at_rest + 2
    assert len(psutil.Process(sandbox.process.pid).children(recursive=True)) == at_rest


def test_two_sandboxes_share_nothing(sandbox: Sandbox, other: Sandbox) -> None:
    def pids(box: Sandbox) -> set[int]:
        return {process.pid for process in psutil.Process(box.process.pid).children(recursive=True)}

    with Conversation(other, code(PROBES), NAMES) as there:
        with Conversation(sandbox, code(PROBES), NAMES) as here:
            assert pids(other).isdisjoint(pids(sandbox))
            assert make_env(here, NAMES)["leave_behind"]("/tmp/mine")
            assert not make_env(there, NAMES)["exists"]("/tmp/mine")
        assert make_env(there, NAMES)["exists"]("/tmp")


def descent(process: psutil.Process) -> list[psutil.Process]:
    """Its child, that one's child, and so on: by who started whom, since the kernel's numbers begin again at their end."""
    children = process.children()
    assert len(children) < 2, children
    return [children[0], *descent(children[0])] if children else []


def mounts(process: psutil.Process) -> list[list[str]]:
    """The kernel's list of what a process sees mounted."""
    return [line.split() for line in Path(f"/proc/{process.pid}/mountinfo").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("made", ["sandbox", "other"])
def test_every_mount_is_read_only_or_ends_with_the_submission(made: str, request: pytest.FixtureRequest) -> None:
    """From the kernel's own list of what is mounted: nothing is left out because nobody thought of it."""
    box = request.getfixturevalue(made)
    for _ in range(2):
        with Conversation(box, code(PROBES), NAMES) as talk:
            env = make_env(talk, NAMES)
            assert env["identity"]()["uid"] == 1000  # it answers, so all its places are mounted
            _, parent, *_, student = descent(psutil.Process(box.process.pid))
            seen = {mount[4]: mount for mount in mounts(student)}  # of two on one place the later is seen
            lasting = {mount[2] for mount in mounts(parent)}
            alive = {place: mount[2] for place, mount in seen.items() if "rw" in mount[5].split(",")}
            assert set(alive) == {"/tmp", "/dev/shm"}, alive
            for place in set(seen) - set(alive) | {"/dev/pts", "/sys", "/course", "/etc", "/root"}:
                with pytest.raises(OSError, match="raised"):
                    env["leave_behind"](f"{place}/left")
                assert env["change"](place) == 0, place
            assert env["change"]("/dev/null") == env["change"]("/course/helpers/__init__.py") == 0
            assert lasting.isdisjoint(alive.values()), "a writable place is the warm parent's too"
            for place in alive:
                assert not env["exists"](f"{place}/left")
                assert env["leave_behind"](f"{place}/left")
            covered = str(seen_as(COVERED_HERE))
            assert (covered in seen) == (made == "other")
            assert made != "other" or env["listing"](covered) == []


def test_the_warm_parent_shares_no_memory_with_its_children(sandbox: Sandbox) -> None:
    with Conversation(sandbox, code(PROBES), NAMES):
        for process in psutil.Process(sandbox.process.pid).children(recursive=True):
            maps = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8").splitlines()
            assert not [line for line in maps if line.split()[1][1] == "w" and line.split()[1][3] == "s"]


def test_what_torch_needs_is_there(probe: Callable[..., Any]) -> None:
    assert probe("what_torch_needs") == 0


def test_locks_tell_no_neighbour_anything(sandbox: Sandbox, other: Sandbox) -> None:
    path = "/course/helpers/__init__.py"
    with Conversation(sandbox, code(PROBES), NAMES) as here, Conversation(other, code(PROBES), NAMES) as there:
        assert make_env(here, NAMES)["lock"](path) == "held"
        assert make_env(there, NAMES)["lock"](path) == "held"


def test_a_parent_that_dies_takes_all_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.grade.sandbox.bubblewrap.START", "raise SystemExit(3)")
    with pytest.raises(NoSandboxError, match="did not start"):
        Sandbox(Limits(), models=False)


def test_the_command_line_hides_installed_copies_of_the_tests() -> None:
    line = command_line("bwrap", 7, 65534, ROOT / "helpers", as_root=False, models=False)
    assert "--unshare-user" in line
    assert "--unshare-net" in line
    shown = [line[n + 1] for n, word in enumerate(line) if word in ("--ro-bind", "--bind")]
    assert "--bind" not in line
    assert str(ROOT) not in shown
    assert not [path for path in shown if "autograder" in path and not path.endswith("sandbox/inside")]
    assert json.dumps(line)


def test_a_virtual_environment_below_a_covered_folder_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout in /tmp has its .venv there, which the sandbox's own /tmp would hide."""
    environment = COVERED[0] / "checkout" / ".venv"
    monkeypatch.setattr("sys.prefix", str(environment))
    assert seen_as(environment / "bin" / "python") == VENV / "bin" / "python"
    assert seen_as(Path("/usr/bin/python3")) == Path("/usr/bin/python3")
    with pytest.raises(NoSandboxError, match="Install it elsewhere"):
        seen_as(COVERED[0] / "python3.12")
