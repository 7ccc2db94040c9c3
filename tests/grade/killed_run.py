"""A grading run in a process of its own, to be killed: `python -m tests.grade.killed_run SUBMISSIONS OUT`."""

import sys
from pathlib import Path

from autograder.grade import runner, schedule
from tests.grade.fake import judge_quickly

if __name__ == "__main__":
    schedule.on_worker = judge_quickly
    runner.tests_digest = lambda part: "the same tests in every run"  # type: ignore[assignment]
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    with runner.open_store(out) as store:
        store.set("secret", "ab" * 32)
        plan = runner.make_plan(workers=0, scheduler="", trust=False)
        for _job, result in runner.work(store, runner.take_in(store, source), plan):
            print(result.student, flush=True)
        runner.write_outputs(store, out)
