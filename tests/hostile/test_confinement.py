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

from autograder.grade.judging.conversation import Conversation, StudentError
from autograder.grade.judging.standins import make_env
from autograder.grade.limits import Limits
from autograder.grade.sandbox.bubblewrap import COVERED, ROOT, VENV, NoSandboxError, Sandbox, command_line, seen_as
from autograder.grade.sandbox.cgroups import Group
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
    result = getattr(libc, name)(*arguments)
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
def spread(count, size):
    import time
    for _ in range(count):
        if os.fork() == 0:
            kept = b"x" * size
            time.sleep(1000)
    time.sleep(20)
    return 1
def stay():
    if os.fork() == 0:
        os.setsid()
        import time
        time.sleep(1000)
    return 1
"""
NAMES = [line.split("(")[0][4:] for line in PROBES.splitlines() if line.startswith("def ")]


@pytest.fixture
def probe(sandbox: Sandbox) -> Iterator[Callable[..., Any]]:
    """Call a probe in a fresh child."""
    with Conversation(sandbox, code(PROBES), NAMES) as talk:
        env = make_env(talk, NAMES)
        yield lambda name, *arguments: env[name](*arguments)


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
    ):
        result, number = probe("syscall", name, *arguments)
        assert result == -1, (name, arguments)
        assert number in (1, 22, 38), (name, number)


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
            assert {folder.split("/")[1] for folder in writable} <= {"tmp", "dev"}, writable
            assert len(writable) > 2
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


def test_memory_of_many_processes_without_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stays below its own limit, together they do not: the watchdog sees it where the kernel may not be asked."""
    monkeypatch.setattr("autograder.grade.sandbox.bubblewrap.Group.make", lambda limits: Group("none", []))
    limits = Limits(group_memory=800 << 20)
    with Sandbox(limits, models=False) as box, Conversation(box, code(PROBES), NAMES) as talk:
        assert box.protection.cgroup == "none"
        assert make_env(talk, NAMES)["memory"](300 << 20) == 300 << 20
        with pytest.raises(StudentError, match="more memory than a submission may"):
            make_env(talk, NAMES)["spread"](5, 300 << 20)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_control_groups_of_both_kinds(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which files are written, and where kills are counted, as the kernel's documentation has them."""
    monkeypatch.setattr("autograder.grade.sandbox.cgroups.BASE", tmp_path)
    events = {"v1": "memory.oom_control", "v2": "memory.events"}[version]
    if version == "v1":
        (tmp_path / "memory").mkdir()
        (tmp_path / "pids").mkdir()
    else:
        (tmp_path / "cgroup.controllers").write_text("memory pids")
    group = Group.make(Limits(group_memory=5 << 20, processes=4))
    assert group.kind == version
    memory, pids = group.folders[0], group.folders[-1]
    limit = {"v1": "memory.limit_in_bytes", "v2": "memory.max"}[version]
    assert (memory / limit).read_text() == str(5 << 20)
    assert (pids / "pids.max").read_text() == "12"
    (memory / events).write_text("low 0\noom_kill 0\n")
    assert not group.new_kills()
    (memory / events).write_text("low 0\noom_kill 2\n")
    assert group.new_kills()
    assert not group.new_kills()
    assert f'echo $$ > "{memory}/cgroup.procs"' in group.wrap(["true"])[2]


def test_nothing_outlives_its_run(sandbox: Sandbox) -> None:
    at_rest = len(psutil.Process(sandbox.process.pid).children(recursive=True))
    with Conversation(sandbox, code(PROBES), NAMES) as talk:
        assert make_env(talk, NAMES)["stay"]() == 1
        assert len(psutil.Process(sandbox.process.pid).children(recursive=True)) > at_rest + 2
    assert len(psutil.Process(sandbox.process.pid).children(recursive=True)) == at_rest


def test_two_sandboxes_share_nothing(sandbox: Sandbox) -> None:
    def pids(box: Sandbox) -> set[int]:
        return {process.pid for process in psutil.Process(box.process.pid).children(recursive=True)}

    with Sandbox(sandbox.limits, models=False) as other, Conversation(other, code(PROBES), NAMES) as there:
        with Conversation(sandbox, code(PROBES), NAMES) as here:
            assert pids(other).isdisjoint(pids(sandbox))
            assert make_env(here, NAMES)["leave_behind"]("/tmp/mine")
            assert not make_env(there, NAMES)["exists"]("/tmp/mine")
        assert make_env(there, NAMES)["exists"]("/tmp")


def test_the_way_of_an_ordinary_user() -> None:
    """The sandbox in a user namespace, as it is made for whoever is not root."""
    with Sandbox(Limits(), models=False, as_root=False) as box, Conversation(box, code(PROBES), NAMES) as talk:
        env = make_env(talk, NAMES)
        assert env["identity"]()["uid"] == 1000
        assert env["listing"]("/proc") == []
        assert set(env["capabilities"]()[0]) == {0}
        for path in ("/course/x", "/usr/x", "/x"):
            with pytest.raises(OSError, match="raised"):
                env["leave_behind"](path)
        assert env["leave_behind"]("/tmp/x")
        assert env["syscall"]("socket", 2, 1, 0)[0] == -1


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
