"""No worker of another commit or version gives a mark, and a wrong address is told at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, LocalCluster
from typer.testing import CliRunner

from autograder import masters, stamps
from autograder.cli import app
from autograder.grade import schedule, workers
from autograder.grade.schedule import Plan
from autograder.grade.workers import FILES, Crew, check_address, difference
from helpers.parts import ROOT
from tests.grade.fake import judge_quickly, pretend
from tests.grade.test_run import jobs, make_class

ELSE = {FILES: "0" * 12, "torch": "1.0"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers that `course grade` did not start."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as made:
        yield made


@pytest.fixture
def client(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of its own; judging is a fake. Afterwards the workers are themselves again."""
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)
    with Client(cluster.scheduler_address, set_as_default=False) as made:
        yield made
        made.run(pretend, workers.identity())


def test_a_worker_that_differs_is_refused_before_any_job(cluster: Any, client: Client) -> None:
    right, wrong = client.scheduler_info(n_workers=-1)["workers"]
    client.run(pretend, ELSE, workers=[wrong])
    with pytest.raises(ConnectionError) as error:
        next(schedule.run(jobs("a"), Plan(scheduler=cluster.scheduler_address)))
    text = str(error.value)
    assert f"{wrong}: {FILES} differ, torch 1.0 there, {workers.identity()['torch']} here" in text
    assert right not in text
    assert "start them again" in text


def test_work_that_came_to_a_worker_that_differs_goes_to_another(cluster: Any, client: Client) -> None:
    students = [f"s{n:02}" for n in range(30)]
    results = schedule.run(jobs(*students), Plan(scheduler=cluster.scheduler_address))
    found = [next(results)]
    client.run(pretend, ELSE, workers=list(client.scheduler_info(n_workers=-1)["workers"])[:1])
    found += results
    assert sorted(job.student for job, _ in found) == students
    assert {result.status for _, result in found} == {"graded"}


def test_where_all_differ_nobody_gets_a_mark(cluster: Any, client: Client) -> None:
    results = schedule.run(jobs("a", "b", *"cdefghij"), Plan(scheduler=cluster.scheduler_address))
    next(results)
    client.run(pretend, ELSE)
    last = list(results)[-1][1]
    assert (last.status, last.points, last.failure.kind) == ("error", None, "infrastructure")
    assert "torch 1.0 there" in last.failure.message


def test_who_joins_is_asked_once_and_who_does_not_answer_again() -> None:
    asked: list[list[str]] = []
    answers = {"a": workers.identity(), "b": ELSE, "c": OSError("gone"), "d": ModuleNotFoundError("workers")}
    there = ["a"]

    def run(function: object, workers: list[str], on_error: str) -> dict[str, Any]:
        asked.append(workers)
        return {address: answers[address] for address in workers}

    crew = Crew(SimpleNamespace(run=run, scheduler_info=lambda n_workers: {"workers": dict.fromkeys(there)}))
    assert crew.look() == {"a": ""}
    there += ["b", "c", "d"]
    crew.look()
    found = crew.look()
    assert asked == [["a"], ["b", "c", "d"], ["c"]]
    assert (found["a"], found["c"]) == ("", "it does not answer")
    assert FILES in found["b"]
    assert "ModuleNotFoundError" in found["d"]


def test_a_build_for_another_processor_is_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    workers.identity.cache_clear()
    monkeypatch.setattr(workers.metadata, "version", lambda name: "2.1+cu128")
    assert workers.identity()["torch"] == "2.1"
    workers.identity.cache_clear()
    assert difference(workers.identity()) == ""


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:abc", "is no address"),
        ("tcp://10.0.0.1", "is no address"),
        ("10.0.0.1", "is no address"),
        ("tcp://127.0.0.1:99999", "is no address"),
        ("tcp://:8786", "is no address"),
        ("tcp://nowhere.invalid:1", "no Dask scheduler answers at tcp://nowhere.invalid:1"),
        ("127.0.0.1:9", "no Dask scheduler answers"),
    ],
)
def test_a_wrong_address_is_told_at_once(address: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=told):
        check_address(address)
    source = make_class(tmp_path / "class", 1)
    run = CliRunner().invoke(app, ["grade", str(source), "-o", str(tmp_path / "out"), "--scheduler", address])
    assert run.exit_code == 2
    assert told in run.output
    assert "Traceback" not in run.output


def test_what_is_no_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConnectionError, match="is no Dask scheduler"):
            next(schedule.run(jobs("a"), Plan(scheduler=address)))


def test_a_scheduler_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "PATIENCE", 0.1)
    with (
        LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as empty,
        pytest.raises(ConnectionError, match="has no workers"),
    ):
        next(schedule.run(jobs("a"), Plan(scheduler=empty.scheduler_address)))


def test_what_a_worker_must_have_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is moved would count as missing on both sides, and so as the same."""
    assert not [name for name in stamps.WORKED_BY if not (ROOT / name).exists()]
    before = stamps.judge()
    monkeypatch.setattr(masters, "existing_parts", lambda: [1, 2])
    assert stamps.judge() != before, "the tests of all parts count"
