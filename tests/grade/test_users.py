"""Without namespaces: code that runs as a user of its own reads, reaches and leaves nothing, and a result is the grader's."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autograder.grade.jobs import Job
from autograder.grade.judging import judge
from autograder.grade.result import Protection
from autograder.grade.sandbox import users
from autograder.grade.sandbox.bubblewrap import Sandbox
from helpers.parts import ROOT
from tests.grade.container import AUTOGRADER, OPEN_TO_ALL, in_container, unpack
from tests.grade.container_probe import verdicts
from tests.grade.samples import SECRET, WRONG, code, notebook, solution, with_answer
from tests.test_variants import VARIANTS, exercises

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
SECRET_FILES = [
    "results/results.json", "submission_metadata.json", "submission/02_reinforce.ipynb", "source/run_otter.py",
    "source/course/solutions/02_reinforce.py", "source/course/autograder/reference/part2.py",
]  # fmt: skip
ROUNDS: dict[str, list[list[Any]]] = {
    "who": [["status"], ["environment"], ["where"]],
    "reads": [["read", f"{AUTOGRADER}/{name}"] for name in SECRET_FILES] + [["listing", str(AUTOGRADER)]],
    "the judge": [
        *([name, pid] for name in ("memory_of", "ptrace") for pid in ("JUDGE", "SERVER", "PARENT")),
        *(["read", f"/proc/{pid}/environ"] for pid in (1,)),
        *(["kill", pid, 9] for pid in ("JUDGE", "SERVER")),
    ],
    "writes": [
        ["write", f"{AUTOGRADER}/results/results.json"], ["write", f"{AUTOGRADER}/results.json"],
        ["write", "HOME/../course/helpers/parts.py"], ["connect"], ["become", 0], ["become", 65534],
    ],
    "kills all": [["kill", -1, 9], ["status"]],
    "daemon": [["daemon", "/tmp/flag"]],
    "rabbits": [["rabbits"]],
    "leaves": [["leave"]],
    "comes after": [["left"]],
    "fills its home": [["fill", "x", 1 << 20]],
    "fills others": [["fill", "/dev/shm/x", 1 << 20]],
    "takes memory": [["forks", 8, 200 << 20]],
    "last": [["left"]],
}  # fmt: skip

HOSTILE = f"""
import os, signal, time
RESULTS = f"{AUTOGRADER}/results/results.json"
def forge():
    try:
        with open(RESULTS, "w") as file: file.write('{{"score": 1000, "tests": [], "output": "forged"}}')
    except OSError: pass
def attack():
    forge()
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            end = time.time() + 60
            while time.time() < end:
                forge()
                time.sleep(0.01)
        os._exit(0)
    time.sleep(0.2)
    for pid in (os.getppid(), -1):
        try: os.kill(pid, signal.SIGTERM if pid < 0 else signal.SIGKILL)
        except OSError: pass
{WRONG}
ATTACKED = attack()
token_log_probs.__doc__ = ATTACKED
"""


def job(part: int, only: str, cells: tuple[dict[str, Any], ...]) -> Job:
    """One question of a submission."""
    return Job("ada", part, cells, SECRET, only=(only,))


def variants(function: str, most: int = 3) -> list[Job]:
    """Some right and some wrong answers."""
    question, _ = exercises()[function]
    found = {right: [v for v in VARIANTS if v.function == function and v.right == right] for right in (True, False)}
    chosen = [*found[True][:most], *found[False][:most]]
    return [job(question.part, question.name, with_answer(question.part, v.source)) for v in chosen]


JOBS = [
    job(1, "q1_3", solution(1)),
    job(2, "q2_1", code(WRONG)),
    *variants("token_log_probs"),
    *variants("exact_shapley_values"),
]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What all rounds gave, by name, in one container."""
    folder = tmp_path_factory.mktemp("played") / "autograder"
    folder.mkdir()
    unpack(folder, 2)
    for name in SECRET_FILES[:3]:
        (folder / name).write_text("SECRET")
    run = in_container([sys.executable, "-m", "tests.grade.container_probe"], folder, PYTHONPATH=str(ROOT), SECRET="17")
    wanted = json.dumps({"rounds": list(ROUNDS.values()), "jobs": [dataclasses.asdict(job) for job in JOBS]})
    told = subprocess.run(run, input=wanted, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr[-3000:]
    found = json.loads(told.stdout)
    assert found["final"] == "the grader's"
    found["left"] = dict(zip([*ROUNDS, "closed"], found["remains"], strict=True))
    return found | dict(zip(ROUNDS, found["rounds"], strict=True))


def test_it_is_a_user_without_rights(played: dict[str, Any]) -> None:
    status, environment, (work, temporary, home) = played["who"]
    uid = str(played["account"]["uid"])
    assert status["Uid"] == status["Gid"] == [uid] * 4
    assert status["Groups"] == []
    assert int(status["CapPrm"][0], 16) == int(status["CapEff"][0], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
    assert work == temporary == home == played["account"]["home"]
    assert "SECRET" not in environment
    assert not [name for name in environment if name.startswith(("PYTHONPATH", "COURSE_SEED", "VERIFY"))]
    protection = played["protection"]
    assert (protection["sandboxed"], protection["users"], protection["seccomp"]) == (False, True, True)


@pytest.mark.parametrize("what", ["reads", "writes"])
def test_it_reads_and_writes_nothing_of_the_graders(played: dict[str, Any], what: str) -> None:
    for call, given in zip(ROUNDS[what], played[what], strict=True):
        assert str(given).startswith("raised"), (call, given)
        assert "PermissionError" in given, (call, given)


def test_it_reaches_no_other_process(played: dict[str, Any]) -> None:
    for call, given in zip(ROUNDS["the judge"], played["the judge"], strict=True):
        assert given == [-1, 1] or "PermissionError" in str(given), (call, given)
    assert "status" not in str(played["kills all"][0])
    assert played["kills all"][1]["Uid"], "it lives on, and so does the judge"


def test_nothing_outlives_its_run(played: dict[str, Any]) -> None:
    assert played["daemon"] == played["rabbits"] == ["started"]
    assert {name: left for name, left in played["left"].items() if left["processes"]} == {}
    assert set(played["results"]) == {"SECRET"}, "a process wrote the result"


def test_nothing_is_left_for_the_next(played: dict[str, Any]) -> None:
    assert played["leaves"] == [[place for place in OPEN_TO_ALL if Path(place).is_dir()]]
    assert played["comes after"] == played["last"] == [[]]
    assert {name: left for name, left in played["left"].items() if left["files"]} == {}


def test_what_takes_too_much_is_killed(played: dict[str, Any]) -> None:
    for name in ("fills its home", "fills others"):
        assert "file too large" in played[name][0]
    assert "more memory than a submission may" in played["takes memory"][0]


def test_answers_get_the_marks_of_the_sandbox(played: dict[str, Any], sandbox: Sandbox) -> None:
    expected = [verdicts(judge.grade(sandbox, job)) for job in JOBS]
    assert played["verdicts"] == json.loads(json.dumps(expected))
    assert {passed for tests in expected for _, passed, _ in tests} == {True, False}


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """A container's folder with a notebook that forges the result, goes on doing so, and kills what it can."""
    (tmp_path / "autograder").mkdir()
    folder = unpack(tmp_path / "autograder", 2)
    (folder / "submission" / "02_reinforce.ipynb").write_bytes(notebook(HOSTILE))
    return folder


def graded_in(folder: Path, *without: str) -> tuple[dict[str, Any], str]:
    """What the container's own script wrote, some time after it ended; and what it said."""
    line = ["bash", "-c", f"bash {AUTOGRADER}/source/run_autograder; sleep 1"]
    run = subprocess.run(in_container(line, folder, without=without), capture_output=True, text=True)
    return json.loads((folder / "results" / "results.json").read_text()), run.stderr


def test_a_hostile_notebook_in_the_container(container: Path) -> None:
    answer, said = graded_in(container)
    assert answer["score"] == 0, answer
    assert Protection(False, users=True).said in answer["output"], said
    assert "Handed in by Ada and Bo." in answer["output"]
    assert {name for name in (test["name"] for test in answer["tests"]) if name.startswith("q2_1")}
    assert not [path.name for path in (container / "results").iterdir() if path.name != "results.json"]
    assert (container / "results").stat().st_mode & 0o077 == 0


def test_the_last_resort_in_the_container(container: Path) -> None:
    """Root may not even be another user: otter alone, and the result says so."""
    (container / "submission" / "02_reinforce.ipynb").write_bytes(notebook(WRONG))
    answer, said = graded_in(container, "SETUID")
    assert "Nor by users" in said
    assert answer["output"].startswith(Protection(False).said)


def test_ids_are_drawn_anew_and_are_nobodys() -> None:
    drawn = [users.spare_ids() for _ in range(20)]
    assert len(set(drawn)) == 20
    assert all(spare == uid + 1 and uid >= 20_000 and uid != 65534 for uid, spare in drawn)
