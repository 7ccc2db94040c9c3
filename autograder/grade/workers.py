"""Which of a cluster's workers may judge: those with this very commit and the same versions of what decides a number."""

from __future__ import annotations

import functools
import platform
import socket
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

from autograder import stamps

from .jobs import Job
from .limits import Limits
from .result import SubmissionResult

FILES = "the course's files"
PACKAGES = ("torch", "transformers", "numpy")
PATIENCE = 5.0  # seconds in which a scheduler's machine must answer
WHAT_TO_DO = (
    "Bring these workers to this commit and its environment (`course doctor` says what differs), and start them again."
)

Judge = Callable[[Job, Limits, bool], SubmissionResult]


@functools.cache
def identity() -> dict[str, str]:
    """What this process judges with: a hash of the files that decide marks, and versions."""
    versions = {name: metadata.version(name).partition("+")[0] for name in PACKAGES}
    return {FILES: stamps.judge()[:12], "python": platform.python_version(), **versions}


def difference(theirs: Any) -> str:
    """What a worker has that this process has not; empty if they judge alike.

    Args:
        theirs: its `identity`, or what was raised when it was asked.
    """
    if not isinstance(theirs, Mapping):
        return f"it does not know this grader ({type(theirs).__name__}: {theirs})"[:300]
    differing = [name for name, value in identity().items() if theirs.get(name) != value]
    return ", ".join(
        f"{name} differ" if name == FILES else f"{name} {theirs.get(name)} there, {identity()[name]} here"
        for name in differing
    )


def judge_alike(
    expected: dict[str, str], judge: Judge, job: Job, limits: Limits, trust: bool
) -> tuple[dict[str, str], SubmissionResult | None]:
    """Judge on a worker, if it judges as the one who asks does; say with what. This is what Dask calls."""
    own = identity()
    return own, judge(job, limits, trust) if own == expected else None


class Crew:
    """A cluster's workers, each asked once what it judges with."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked: dict[str, str] = {}

    def look(self) -> dict[str, str]:
        """Ask those who have joined; return all that are there, with what is different about each."""
        there = list(self.client.scheduler_info(n_workers=-1)["workers"])
        if new := [address for address in there if address not in self.asked]:
            said = self.client.run(identity, workers=new, on_error="return")
            heard = {address: answer for address, answer in said.items() if not isinstance(answer, OSError)}
            self.asked |= {address: difference(answer) for address, answer in heard.items()}
        return {address: self.asked.get(address, "it does not answer") for address in there}

    def check(self) -> None:
        """Have all workers judge alike.

        Raises:
            ConnectionError: one does not.
        """
        wrong = [f"{address}: {other}" for address, other in self.look().items() if other]
        if wrong:
            raise ConnectionError(f"workers that judge with something else: {'; '.join(wrong)}. {WHAT_TO_DO}")


def check_address(address: str) -> None:
    """Have something listen at a scheduler's address.

    Raises:
        ConnectionError: the address is none, or nothing listens there.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ConnectionError(f"{address!r} is no address of a Dask scheduler: give one such as tcp://10.0.0.1:8786")
    if parts.scheme not in ("tcp", "tls"):
        return  # a transport of Dask's that is not asked for by a plain connection
    try:
        with socket.create_connection((host, port), timeout=PATIENCE) as connection:
            greeted = parts.scheme == "tls" or bool(connection.recv(1))  # without TLS a scheduler speaks first
    except TimeoutError:
        greeted = False
    except OSError as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {address} ({error.strerror or error}). Is it the address that `dask scheduler` "
            "printed, and does a firewall let you through?"
        ) from error
    if not greeted:
        raise ConnectionError(
            f"what listens at {address} is no Dask scheduler, or does not answer within {PATIENCE:g} s"
        )
