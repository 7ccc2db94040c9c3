"""Send submissions to workers: Dask's, on this machine or a cluster's, or this very process.

Workers need the repository at this commit and bubblewrap, no shared disk: a job carries everything. Each worker process keeps
one warm sandbox. A submission whose worker dies is tried once more by Dask; one that takes two workers with it is reported.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograder.grade.sandbox.choice import open_sandbox
from autograder.grade.sandbox.parent import NoSandboxError, SandboxBrokenError

from . import workers
from .jobs import Job, questions_of
from .limits import Limits, bounded_memory
from .result import Failure, SubmissionResult

AHEAD = 3  # jobs per worker that are handed to the scheduler before results are back
ALONE = 2  # times that a job is tried with nothing else on the workers
CONNECT, PATIENCE = 10, 120  # seconds for a scheduler to answer, and for its first worker to come
OTHER = "infrastructure"  # the kind of failure where a worker is not as this process
_local = threading.local()
_one_at_a_time = threading.Lock()  # a worker process with several threads still judges one submission at a time


@dataclass(frozen=True)
class Plan:
    """How to run.

    Attributes:
        workers: worker processes on this machine; 0 grades in this process.
        scheduler: the address of an existing Dask scheduler, instead of workers of our own.
        trust: without a sandbox.
        limits: what a submission may use.
    """

    workers: int = 1
    scheduler: str = ""
    trust: bool = False
    limits: Limits = field(default_factory=Limits)


def broken(job: Job, message: str, kind: str = "infrastructure") -> SubmissionResult:
    """The result of a submission that could not be judged: an error and no mark."""
    possible = sum(q.points for q in questions_of(job.part, job.only))
    return SubmissionResult(job.student, job.part, possible, failure=Failure(kind, message[:2000]))


class Worker:
    """What one worker process keeps: a warm sandbox, made anew when it has died."""

    def __init__(self, limits: Limits, trust: bool) -> None:
        self.limits = limits
        self.trust = trust
        self.sandbox: Any = None
        atexit.register(self.close)

    def grade(self, job: Job) -> SubmissionResult:
        """Grade one submission. What goes wrong on our side becomes an error result, after a second try.

        Raises:
            NoSandboxError: there is no sandbox on this machine; nothing can be graded here.
        """
        from .judging import judge

        for attempt in (1, 2):
            try:
                sandbox = self._ready()
                with bounded_memory(self.limits.judge_memory):
                    return judge.grade(sandbox, job, self.limits)
            except SandboxBrokenError as error:
                self.close()
                if attempt == 2:
                    return broken(job, f"the sandbox broke down twice: {error}", "sandbox")
            except NoSandboxError:
                self.close()
                raise
            except Exception as error:
                self.close()
                return broken(job, f"{type(error).__name__}: {error}", "judge")
        raise AssertionError("unreachable")

    def _ready(self) -> Any:
        if self.sandbox is None or not self.sandbox.alive:
            self.close()
            self.sandbox = open_sandbox(self.limits, trust=self.trust)
        return self.sandbox

    def close(self) -> None:
        """Give the sandbox up."""
        sandbox, self.sandbox = self.sandbox, None
        if sandbox is not None:
            with contextlib.suppress(OSError):
                sandbox.close()


def on_worker(job: Job, limits: Limits, trust: bool) -> SubmissionResult:
    """Grade a job in a worker process, with the sandbox that this thread keeps."""
    import torch

    torch.set_num_threads(1)
    with _one_at_a_time:
        return _grade_here(job, limits, trust)


def _grade_here(job: Job, limits: Limits, trust: bool) -> SubmissionResult:
    worker = getattr(_local, "worker", None)
    if worker is None or (worker.limits, worker.trust) != (limits, trust):
        if worker is not None:
            worker.close()
        worker = _local.worker = Worker(limits, trust)
    result = worker.grade(job)
    gc.collect()
    gc.freeze()  # torch's million objects stay: looking at them again after every submission would take longer than grading
    return result


def run(jobs: Sequence[Job], plan: Plan) -> Iterator[tuple[Job, SubmissionResult]]:
    """Grade all jobs; yield each with its result as it is done, in no fixed order.

    Raises:
        NoSandboxError: no worker can make a sandbox.
        ConnectionError: the scheduler cannot be reached, or has no workers, or one that judges with something else.
    """
    if not jobs:
        return
    if plan.workers == 0 and not plan.scheduler:
        try:
            for job in jobs:
                yield job, on_worker(job, plan.limits, plan.trust)
        finally:
            worker = getattr(_local, "worker", None)
            if worker is not None:
                worker.close()
        return
    with _client(plan) as client:
        yield from _through(client, jobs, plan)


@contextlib.contextmanager
def _client(plan: Plan) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": 1,  # a second try, no third
            "distributed.worker.memory.target": False,  # results are small; never spill or pause
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
            "distributed.comm.timeouts.connect": "30s",
        }
    )
    if plan.scheduler:
        workers.check_address(plan.scheduler)
        try:
            client = Client(plan.scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConnectionError(
                f"what answers at {plan.scheduler} is no Dask scheduler of this version: {error}"
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                text = (
                    f"the scheduler at {plan.scheduler} has no workers: start some with `dask worker {plan.scheduler}`"
                )
                raise ConnectionError(text) from error
            workers.Crew(client).check()
            yield client
        return
    with (
        LocalCluster(
            n_workers=plan.workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit=None,
            security=True,  # certificates for this run: on a shared machine nobody else can send work
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


def _through(client: Any, jobs: Sequence[Job], plan: Plan) -> Iterator[tuple[Job, SubmissionResult]]:
    """Grade the jobs on a cluster; who was twice on a worker that died is tried again at the end, alone.

    A dying worker takes with it what waited there, so only a submission that kills its workers while nothing else is
    graded has done it itself. What went to a worker that judges with something else is tried again as well: by then it is known.
    """
    from distributed import KilledWorker

    suspects: list[Job] = []
    for job, answer, error in _finished(client, jobs, plan, ahead=AHEAD):
        result = None if isinstance(error, KilledWorker) else _result(job, answer, error)
        if result is None or (result.failure is not None and result.failure.kind == OTHER):
            suspects.append(job)
        else:
            yield job, result
    for suspect in suspects:
        for _ in range(ALONE):  # a worker that was still dying may have taken the first try with it
            ((job, answer, error),) = _finished(client, [suspect], plan, ahead=1)
            if not isinstance(error, KilledWorker):
                yield job, _result(job, answer, error)
                break
        else:
            yield suspect, broken(suspect, "two workers died while they graded this submission", "worker")


def _result(job: Job, answer: Any, error: BaseException | None) -> SubmissionResult:
    """What a finished job gave.

    Raises:
        NoSandboxError: the worker can make no sandbox.
    """
    if isinstance(error, NoSandboxError):
        raise error
    if error is not None:
        return broken(job, f"{type(error).__name__}: {error}", "worker")
    theirs, result = answer
    if other := workers.difference(theirs):
        return broken(job, f"it came to a worker that judges with something else: {other}. {workers.WHAT_TO_DO}", OTHER)
    return result


def _finished(client: Any, jobs: Sequence[Job], plan: Plan, *, ahead: int) -> Iterator[tuple[Job, Any, Any]]:
    """Hand out the jobs, `ahead` for each worker at a time; yield each with what came of it, or with the error."""
    from distributed import as_completed

    waiting = list(reversed(jobs))
    known: dict[str, Job] = {}
    pool = as_completed(loop=client.loop)
    crew = workers.Crew(client)

    def feed() -> None:
        there = crew.look()
        alike = [address for address, other in there.items() if not other]
        where = {"workers": alike, "allow_other_workers": True} if 0 < len(alike) < len(there) else {}
        while waiting and len(known) < ahead * max(1, len(alike)):
            job = waiting.pop()
            key = f"grade-{job.part}-{job.seed[:16]}-{time.monotonic_ns()}"
            known[key] = job
            what = workers.identity(), on_worker, job, plan.limits, plan.trust
            pool.add(client.submit(workers.judge_alike, *what, key=key, pure=False, **where))

    feed()
    for future in pool:
        job = known.pop(future.key)
        answer = error = None
        try:
            answer = future.result()  # it may be lost even when it was finished, with the worker that held it
        except Exception as raised:
            error = raised
        yield job, answer, error
        future.release()
        feed()
