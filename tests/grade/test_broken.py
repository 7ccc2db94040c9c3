"""The batch goes on whatever was handed in, and everybody is told what was wrong with theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import runner
from autograder.grade.limits import Limits
from autograder.grade.results import outputs
from autograder.grade.results.outputs import SheetRow
from autograder.grade.results.store import Store
from autograder.grade.sandbox.bubblewrap import Sandbox
from autograder.grade.schedule import Plan, Worker
from tests.grade.broken import KINDS, Broken

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("broken")]  # one batch for all


@pytest.fixture(scope="module")
def batch(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, SheetRow]]]:
    """All broken submissions graded in one run; the results by name."""
    folder = tmp_path_factory.mktemp("class")
    for number, kind in enumerate(KINDS):
        path = folder / "submitted" / f"s{number:02}" / "02_reinforce" / kind.file
        path.parent.mkdir(parents=True)
        path.write_bytes(kind.make())
    link = folder / "submitted" / "linker" / "02_reinforce" / "a.ipynb"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc/passwd")
    huge = folder / "submitted" / "huge" / "02_reinforce" / "a.ipynb"
    huge.parent.mkdir(parents=True)
    with huge.open("wb") as file:
        file.truncate(200 << 20)

    class Shared(Worker):
        """A worker that uses the session's sandbox."""

        def _ready(self) -> Sandbox:
            return sandbox

        def close(self) -> None:
            """The session closes it."""

    limits = Limits(statement_seconds=1.5, call_seconds=1.5, total_seconds=300, strikes=1)
    worker = Shared(limits, trust=False)
    out = folder / "out"
    with runner.open_store(out) as store:
        jobs = [
            job.__class__(**{**job.__dict__, "only": ("q2_1",)}) for job in runner.take_in(store, folder / "submitted")
        ]
        digests = {found.student: found.digest for found in store.submissions()}
        for job in jobs:
            store.save(digests[job.student], "x", worker.grade(job))
        yield out, {row.student: row for row in outputs.sheet(store)}


@pytest.mark.parametrize("number", range(len(KINDS)), ids=[kind.name for kind in KINDS])
def test_broken(batch: tuple[Path, dict[str, SheetRow]], number: int) -> None:
    kind: Broken = KINDS[number]
    row = batch[1][f"s{number:02}"]
    assert row.state not in ("error", "not graded"), row.result
    said = row.submission.problem + str(row.result) + " ".join(row.submission.notes)
    assert kind.told.lower() in said.lower(), said[:2000]
    points = next((q.points for q in row.questions if q.name == "q2_1"), None)
    assert points == (None if row.submission.problem else kind.points), said[
        :2000
    ]  # what cannot be read waits for a person


def test_links_and_huge_files(batch: tuple[Path, dict[str, SheetRow]]) -> None:
    assert "link" in batch[1]["linker"].submission.problem
    assert "200 MB" in batch[1]["huge"].submission.problem


def test_everybody_gets_a_page_and_a_result_file(batch: tuple[Path, dict[str, SheetRow]]) -> None:
    out, rows = batch
    with Store(out / runner.DATABASE) as store:
        runner.write_outputs(store, out)
    pages = list((out / "feedback").glob("*.html"))
    files = list((out / "gradescope").glob("*.json"))
    assert len(pages) == len(files) == len(rows)
    assert all("could not be graded" in page.read_text() or "of" in page.read_text() for page in pages)
    assert all("tests" in json.loads(file.read_text()) for file in files)
    assert not Path("/tmp/evil").exists()


def test_a_sandbox_that_breaks_is_an_error_and_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    from autograder.grade.jobs import Job
    from autograder.grade.sandbox.parent import SandboxBrokenError

    def broken(*_: Any, **__: Any) -> Any:
        raise SandboxBrokenError("gone")

    monkeypatch.setattr("autograder.grade.judging.judge.grade", broken)
    monkeypatch.setattr(Worker, "_ready", lambda self: object())
    result = Worker(Limits(), trust=False).grade(Job("ada", 2, (), "00" * 32))
    assert result.status == "error"
    assert result.points is None
    assert Plan().workers == 1
