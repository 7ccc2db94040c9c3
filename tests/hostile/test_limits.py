"""Memory is counted whole, with and without control groups; and the judge's own process has a limit too.

The limits here are small, so that what is to be killed is killed before anybody else on the machine notices.
"""

from __future__ import annotations

import gc
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from autograder.grade.judging import conversation
from autograder.grade.judging.conversation import Conversation
from autograder.grade.judging.faults import StudentError
from autograder.grade.judging.standins import make_env
from autograder.grade.limits import Limits, bounded_memory
from autograder.grade.sandbox import cgroups
from autograder.grade.sandbox.bubblewrap import Sandbox
from autograder.grade.sandbox.cgroups import Group, forget_the_dead
from tests.grade.samples import code

pytestmark = pytest.mark.sandbox
MEBIBYTE = 1 << 20
TOGETHER = 700 * MEBIBYTE
BOMBS = """
import ctypes, mmap, os, signal, time
LIBC = ctypes.CDLL(None, use_errno=True)
def fill(size): return b"x" * size
def in_forks(count, size, before=lambda: None, take=fill):
    for _ in range(count):
        if os.fork() == 0:
            try:
                before()
                kept = take(size)
            except (OSError, MemoryError): os._exit(1)
            time.sleep(1000)
    time.sleep(4)
    return "alive"
def plain(count, size): return in_forks(count, size)
def renamed(count, size): return in_forks(count, size, lambda: LIBC.prctl(15, b"bwrap", 0, 0, 0))
def hidden(count, size): return in_forks(count, size, lambda: LIBC.prctl(4, 0, 0, 0, 0))
def daemons(count, size): return in_forks(count, size, lambda: (os.setsid(), os.fork() and os._exit(0)))
def ignore_all(): return [signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]
def deaf(count, size): return in_forks(count, size, ignore_all)
def shared(size):
    kept = mmap.mmap(-1, size)
    for at in range(0, size, 1 << 20): kept.write(b"x" * (1 << 20))
    return kept
def shared_mapping(count, size): return in_forks(count, size, take=shared)
def unmapped(size):
    kept = shared(size)
    kept.madvise(mmap.MADV_DONTNEED)
    return kept
def shared_and_dropped(count, size): return in_forks(count, size, take=unmapped)
def of_zero(size):
    with open("/dev/zero", "r+b", buffering=0) as file:
        kept = mmap.mmap(file.fileno(), size)
    for at in range(0, size, 1 << 20): kept[at : at + (1 << 20)] = b"x" * (1 << 20)
    return kept
def zeros_shared(count, size): return in_forks(count, size, take=of_zero)
def memfd(size):
    kept = [os.memfd_create("x") for _ in range(size >> 24)]
    for number in kept: os.write(number, b"x" * (1 << 24))
    return kept
def memory_files(count, size): return in_forks(count, size, take=memfd)
def shm_files(count, size):
    return in_forks(count, size, take=lambda size: [open(f"{folder}/{os.getpid()}-{n}", "wb").write(b"x" * (1 << 20))
        for n in range(size >> 20) for folder in ("/dev/shm", "/tmp")])
def forks_of_one(count, size):
    kept = b"x" * size
    children = []
    for _ in range(count):
        children.append(os.fork())
        if children[-1] == 0:
            time.sleep(3)
            os._exit(0)
    for pid in children: os.waitpid(pid, 0)
    return "alive"
def ask(function): return function()
def ask_and_go_on(function):
    try: function()
    except MemoryError: return "refused"
"""
NAMES = [line.split("(")[0][4:] for line in BOMBS.splitlines() if line.startswith("def ")]
KILLED = ["plain", "renamed", "hidden", "daemons", "deaf"]
REFUSED = ["shared_mapping", "shared_and_dropped", "zeros_shared", "memory_files", "shm_files"]


TRIES = 5


def free() -> int:
    """Bytes that the machine can still give."""
    return psutil.virtual_memory().available


@pytest.fixture(scope="module")
def counted() -> Iterator[Sandbox]:
    """A sandbox in which the memory is counted, because there is no control group."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Group, "make", lambda limits: Group("none", [], sure=False))
        box = Sandbox(Limits(group_memory=TOGETHER, call_seconds=30), models=False)
    with box:
        assert box.protection.cgroup == "none"
        yield box


@pytest.mark.parametrize("count", [4, 20])
@pytest.mark.parametrize("bomb", KILLED)
def test_processes_that_take_too_much_together_are_killed(counted: Sandbox, bomb: str, count: int) -> None:
    """Each stays far below its own limit, together they do not."""
    with Conversation(counted, code(BOMBS), NAMES) as talk:
        with pytest.raises(StudentError, match="more memory than a submission may"):
            make_env(talk, NAMES)[bomb](count, 1000 * MEBIBYTE // count)
        assert len(psutil.Process(counted.process.pid).children(recursive=True)) == 2


@pytest.mark.parametrize("bomb", REFUSED)
def test_memory_that_no_process_shows_cannot_be_had(counted: Sandbox, bomb: str) -> None:
    """What the machine has less of is measured some times: other tests take memory too, a bomb would take it every time."""
    taken = []
    for _ in range(TRIES):
        before = free()
        with Conversation(counted, code(BOMBS), NAMES) as talk:
            assert make_env(talk, NAMES)[bomb](4, 400 * MEBIBYTE) == "alive"
            taken.append(before - free())
        if taken[-1] < TOGETHER:
            return
    pytest.fail(f"{bomb} took {[size >> 20 for size in taken]} MB while nobody counted")


def test_what_forks_share_is_counted_once(counted: Sandbox) -> None:
    """Twelve forks of a process with 50 MB of its own and some 400 MB of the warm parent's take no 5 GB.

    Page tables and the pages that each fork writes to count for each, so there is room for them below the limit.
    """
    with Conversation(counted, code(BOMBS), NAMES) as talk:
        assert make_env(talk, NAMES)["forks_of_one"](12, 50 * MEBIBYTE) == "alive"


def test_after_a_bomb_the_next_submission_has_all_its_memory(counted: Sandbox) -> None:
    with Conversation(counted, code(BOMBS), NAMES) as talk, pytest.raises(StudentError, match="more memory"):
        make_env(talk, NAMES)["plain"](4, 300 * MEBIBYTE)
    with Conversation(counted, code(BOMBS), NAMES) as talk:
        assert make_env(talk, NAMES)["forks_of_one"](1, 100 * MEBIBYTE) == "alive"


# ------------------------------------------------------------------------------------------------ control groups


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_control_groups_of_both_kinds(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which files are written, and where kills are counted, as the kernel's documentation has them."""
    monkeypatch.setattr(cgroups, "BASE", tmp_path)
    events = {"v1": "memory.oom_control", "v2": "memory.events"}[version]
    if version == "v1":
        (tmp_path / "memory").mkdir()
        (tmp_path / "pids").mkdir()
    else:
        (tmp_path / "cgroup.controllers").write_text("memory pids")
    group = Group.make(Limits(group_memory=5 << 20, processes=4))
    assert (group.kind, group.sure) == (version, True)
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


SYSTEMD = """#!/bin/sh
echo "$*" >> {log}
case "$*" in *OOMPolicy*) {old} ;; esac
while [ "$1" != -- ]; do shift; done
shift
{confirm}
exec "$@"
"""


def fake_systemd(folder: Path, monkeypatch: pytest.MonkeyPatch, *, confirm: str = "", old: str = "true") -> Path:
    """Put a `systemd-run` first on the path; returns the file that gets its arguments."""
    script, log = folder / "systemd-run", folder / "log"
    script.write_text(SYSTEMD.format(log=log, confirm=confirm, old=old))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


@pytest.mark.parametrize("old", ["true", "exit 1"], ids=["systemd of today", "systemd without OOMPolicy for scopes"])
def test_a_scope_of_systemd_is_preferred(old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 5 << 30
    log = fake_systemd(tmp_path, monkeypatch, confirm=f"case $1 in sh) echo {limit}; exit 0 ;; esac", old=old)
    group = Group.make(Limits(group_memory=limit, processes=4))
    assert (group.kind, group.sure, group.folders) == ("systemd", True, [])
    line = group.wrap(["true", "--x"])
    assert line[-3:] == ["--", "true", "--x"]
    assert {"--user", "--scope", f"MemoryMax={limit}", "MemorySwapMax=0", "TasksMax=12"} <= set(line)
    assert ("OOMPolicy=continue" in line) == (old == "true")
    assert f"MemoryMax={limit}" in log.read_text()


def test_where_systemd_sets_no_limit_the_memory_is_still_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the property and the kernel keeps none: the scope is used, and not relied on."""
    log = fake_systemd(tmp_path, monkeypatch)
    with Sandbox(Limits(group_memory=TOGETHER, call_seconds=30), models=False) as box:
        assert box.protection.cgroup == "systemd"
        assert not box.group.sure
        assert "bwrap" in log.read_text()
        with Conversation(box, code(BOMBS), NAMES) as talk, pytest.raises(StudentError, match="more memory"):
            make_env(talk, NAMES)["plain"](4, 300 * MEBIBYTE)


def test_where_systemd_answers_nothing_there_is_no_scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "BASE", tmp_path / "none")
    fake_systemd(tmp_path, monkeypatch, confirm="exit 1")
    assert Group.make(Limits()).kind == "none"
    monkeypatch.setattr(cgroups, "PATIENCE", 0.2)
    fake_systemd(tmp_path, monkeypatch, confirm="exec sleep 5")
    assert Group.make(Limits()).kind == "none"


def test_what_a_killed_run_left_goes_at_the_next_start(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = {n: tmp_path / f"course-grade-{n}" for n in (f"{ended.pid}-1", f"{os.getpid()}-1", f"{ended.pid}-2", "x-1")}
    for folder in names.values():
        folder.mkdir()
    (names[f"{ended.pid}-2"] / "busy").touch()  # as a group with processes, it cannot be removed
    forget_the_dead(tmp_path, Path.rmdir)
    left = {n for n, folder in names.items() if folder.exists()}
    assert left == {f"{os.getpid()}-1", f"{ended.pid}-2", "x-1"}


def test_a_killed_run_leaves_nothing_that_lasts() -> None:
    """A process with a sandbox is killed outright; the sandbox dies with it, and the next one clears up."""
    start = (
        "import sys, time; from autograder.grade.limits import Limits; "
        "from autograder.grade.sandbox.bubblewrap import Sandbox; box = Sandbox(Limits(), models=False); "
        "print(box.scratch.name, *box.group.folders, flush=True); time.sleep(600)"
    )
    run = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    folders = [Path(text) for text in run.stdout.readline().split()]
    assert folders
    assert all(folder.is_dir() for folder in folders)
    below = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive
    deadline = time.monotonic() + 10
    while any(folder.is_dir() for folder in folders) and time.monotonic() < deadline:
        Group.make(Limits()).remove()
        forget_the_dead(folders[0].parent, shutil.rmtree)
        time.sleep(0.2)
    assert not [folder for folder in folders if folder.exists()]


# ------------------------------------------------------------------------------------------------ the judge itself


def huge() -> int:
    """What a call-back might be made to do: one number of 2.5 GB."""
    return (1 << 20_000_000_000) & 1


def test_a_call_back_that_takes_too_much_is_the_students_fault(sandbox: Sandbox) -> None:
    with bounded_memory(400 * MEBIBYTE), Conversation(sandbox, code(BOMBS), NAMES) as talk:
        env: dict[str, Any] = make_env(talk, NAMES)
        assert env["ask_and_go_on"](huge) == "refused"
        with pytest.raises(StudentError, match="MemoryError"):
            env["ask"](huge)
        assert env["ask"](lambda: 7) == 7


def test_a_call_back_that_cannot_be_taken_in_is_the_students_fault(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a test keeps of call-backs may have filled the judge's memory before the next one is read."""

    def full(*_: object) -> None:
        raise MemoryError

    with Conversation(sandbox, code(BOMBS), NAMES) as talk:
        env: dict[str, Any] = make_env(talk, NAMES)
        with monkeypatch.context() as patch:
            patch.setattr(conversation.values, "Decoder", full)
            with pytest.raises(StudentError, match="no answer that can be read"):
                env["ask_and_go_on"](lambda: 7)
        assert env["ask"](lambda: 7) == 7


def test_the_bound_of_the_judge_ends_with_the_submission() -> None:
    gc.collect()
    size = 2048 * MEBIBYTE  # far more than earlier tests can have left to be freed within the bound
    with bounded_memory(100 * MEBIBYTE):
        assert len(b"x" * (10 * MEBIBYTE)) == 10 * MEBIBYTE
        with pytest.raises(MemoryError):
            bytearray(size)
    assert len(bytearray(size)) == size


def test_workers_grade_within_the_bound(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that takes too much is one submission's trouble: the worker lives, and the next is graded."""
    from autograder.grade import schedule
    from autograder.grade.jobs import Job
    from autograder.grade.judging import judge

    worker = schedule.Worker(Limits(judge_memory=300 * MEBIBYTE), trust=False)
    monkeypatch.setattr(worker, "_ready", lambda: sandbox)
    monkeypatch.setattr(worker, "close", lambda: None)
    monkeypatch.setattr(judge, "grade", lambda *_: {"bytes": len(bytearray(600 * MEBIBYTE))})
    result = worker.grade(Job("ada", 2, (), "00"))
    assert (result.status, result.points) == ("error", None)
    assert result.failure is not None
    assert "MemoryError" in result.failure.message
    monkeypatch.setattr(judge, "grade", lambda *_: len(bytearray(60 * MEBIBYTE)))
    assert worker.grade(Job("ada", 2, (), "00")) == 60 * MEBIBYTE  # type: ignore[comparison-overlap]
