"""Inside a container of `container`: what code may do that runs as a user of its own, and how answers are judged there.

Its input is JSON: `rounds`, each a list of calls, each a function below and its arguments; `jobs`, to be judged. Every round is a
child of its own. After each, what is left of the user is looked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from typing import Any

from autograder.grade.gradescope import closed_to_others
from autograder.grade.jobs import Job
from autograder.grade.judging import judge
from autograder.grade.judging.conversation import Conversation
from autograder.grade.judging.faults import StudentError
from autograder.grade.judging.standins import make_env
from autograder.grade.limits import Limits
from autograder.grade.result import SubmissionResult
from autograder.grade.sandbox.inside.other_user import processes_of
from autograder.grade.sandbox.users import OtherUser
from tests.grade.container import AUTOGRADER, OPEN_TO_ALL
from tests.grade.samples import code

LIMITS = Limits(call_seconds=20, group_memory=900 << 20, disk=16 << 20, strikes=9)
KNOWN = f"OPEN_TO_ALL = {OPEN_TO_ALL!r}; RESULTS = {f'{AUTOGRADER}/results/results.json'!r}\n"  # to the code below
PROBES = """
import ctypes, os, signal, socket, stat, sys, tempfile, time
def read(path):
    with open(path, "rb") as file: return str(file.read(100))
def write(path):
    with open(path, "w") as file: return file.write('{"score": 1000}')
def memory_of(pid):
    with open(f"/proc/{pid}/mem", "rb") as file: return file.fileno()
def listing(path): return sorted(os.listdir(path))
def status():
    with open("/proc/self/status") as file: lines = dict(line.split(":", 1) for line in file)
    return {name: lines[name].split() for name in ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "NoNewPrivs", "Seccomp")}
def environment(): return dict(os.environ)
def where(): return [os.getcwd(), tempfile.gettempdir(), os.path.expanduser("~")]
def parent(): return os.getppid()
def kill(pid, number): return os.kill(pid, number)
def connect(): return socket.create_connection(("127.0.0.1", 9)).fileno()
def ptrace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    return [libc.ptrace(16, pid, 0, 0), ctypes.get_errno()]
def become(uid): return os.setuid(uid)
def daemon(path):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 65): signal.signal(number, signal.SIG_IGN) if number not in (9, 19, 32, 33) else None
            end = time.time() + 30
            while time.time() < end:
                for place in (path, RESULTS):
                    try:
                        with open(place, "w") as file: file.write('{"score": 1000}')
                    except OSError: pass
                time.sleep(0.01)
        os._exit(0)
    return "started"
def rabbits():
    if os.fork() == 0:
        os.setsid()
        end = time.time() + 60
        while time.time() < end:
            try:
                if os.fork(): os._exit(0)
            except OSError: pass
        os._exit(0)
    return "started"
def leave():
    made = []
    for place in OPEN_TO_ALL:
        try:
            deep = f"{place}/left/" + "x" * 200
            os.makedirs(deep)
            with open(f"{deep}/answers", "w") as file: file.write("17")
            os.symlink("/etc", f"{place}/link-{os.getuid()}")
            os.chmod(deep, 0)
            made.append(place)
        except OSError: pass
    os.chdir(os.getcwd())
    for _ in range(1500):
        os.mkdir("d"); os.chdir("d")
    return made
def left():
    found = []
    for place in (*OPEN_TO_ALL, "."):
        found += [name for name in os.listdir(place) if os.lstat(f"{place}/{name}").st_uid == os.getuid()]
    return found
def fill(path, size):
    for number in range(1000):
        with open(f"{path}-{number}", "wb") as file: file.write(b"x" * size)
        time.sleep(0.05)
    return "filled"
def forks(count, size):
    for _ in range(count):
        if os.fork() == 0:
            kept = b"x" * size
            time.sleep(30)
            os._exit(len(kept) and 0)
    time.sleep(10)
    return "alive"
"""
NAMES = [line.split("(")[0][4:] for line in PROBES.splitlines() if line.startswith("def ")]


def one_round(box: OtherUser, calls: list[list[Any]]) -> list[Any]:
    """What each call of a round gave, or which fault of the student's it was."""
    words: dict[Any, int] = {"JUDGE": os.getpid(), "SERVER": box.process.pid}
    given: list[Any] = []
    with Conversation(box, code(KNOWN + PROBES), NAMES, limits=LIMITS) as talk:
        env = make_env(talk, NAMES)
        for name, *arguments in calls:
            arguments = [env["parent"]() if word == "PARENT" else words.get(word, word) for word in arguments]
            arguments = [w.replace("HOME", box.account.home) if isinstance(w, str) else w for w in arguments]
            try:
                given.append(env[name](*arguments))
            except StudentError as error:
                given.append(f"{error.kind}: {error} {error.private}")
    return given


def remains(box: OtherUser) -> dict[str, Any]:
    """The processes and files of the user's that are left."""
    line = ["find", *OPEN_TO_ALL, "/run", "-uid", str(box.account.uid)]
    files = subprocess.run(line, capture_output=True, text=True).stdout.split("\n")
    return {"processes": list(processes_of(box.account.uid)), "files": [name for name in files if name]}


def verdicts(result: SubmissionResult) -> list[list[Any]]:
    """What was said of each test."""
    return [[test.name, test.passed, test.message] for question in result.questions for test in question.tests]


def main() -> None:
    """Play the rounds and print what they gave."""
    wanted = json.load(sys.stdin)
    told: dict[str, Any] = {"rounds": [], "remains": []}
    results = AUTOGRADER / "results" / "results.json"
    with closed_to_others(AUTOGRADER), OtherUser(LIMITS, [AUTOGRADER], models=False) as box:
        told["protection"] = dataclasses.asdict(box.protection)
        told["account"] = dataclasses.asdict(box.account)
        for calls in wanted["rounds"]:
            told["rounds"].append(one_round(box, calls))
            told["remains"].append(remains(box))
            with contextlib.suppress(OSError):
                told.setdefault("results", []).append(results.read_text())
        jobs = [Job(**{**job, "cells": tuple(job["cells"])}) for job in wanted["jobs"]]
        told["verdicts"] = [verdicts(judge.grade(box, job)) for job in jobs]
    told["remains"].append(remains(box))
    results.write_text("the grader's")
    time.sleep(0.3)
    told["final"] = results.read_text()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
