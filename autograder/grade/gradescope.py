"""Inside Gradescope's container: `python -m autograder.grade.gradescope` grades the one submission that lies there.

Where the container allows namespaces this is the same sandboxed grader as `course grade`. Where it does not, the code runs
as a user of its own, to whom everything below the root folder is closed, and the tests as root as ever. Where even that is
impossible, the command given after `--` (plain otter) runs instead, under a time limit. The result says which it was.
Whatever happens, a `results.json` is written: last, by this process alone, when nothing of the student's runs any more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.grade.sandbox.choice import open_sandbox
from autograder.grade.sandbox.inside.other_user import Account, end_processes
from autograder.grade.sandbox.parent import NoSandboxError
from autograder.grade.sandbox.users import new_account
from helpers.parts import ROOT

from .intake.collect import collect, earlier_files
from .jobs import Job
from .judging import judge
from .limits import Limits, bounded_memory
from .result import Protection
from .results import outputs
from .results.rows import sheet_row
from .results.store import StoredSubmission
from .text import encodable

SECONDS = 600
LARGEST_RESULTS = 16 << 20  # bytes
PRIVATE = ("solutions", "autograder", "tests")  # beside what is in the container's folder: the course's own


def main(arguments: list[str] | None = None) -> int:
    """Grade what lies in `<root>/submission` and write `<root>/results/results.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/autograder"))
    parser.add_argument("--seconds", type=int, default=SECONDS, help="time limit of the fallback")
    parser.add_argument("fallback", nargs="*", help="the command that runs otter, where there is no sandbox")
    options = parser.parse_args(arguments)
    results = options.root / "results" / "results.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    answer = failed("The grader did not finish. Your instructor has to look at this submission.")
    try:
        answer = grade_folder(options.root)
    except NoSandboxError as error:
        print(f"No sandbox here: {error}", file=sys.stderr)
        answer = run_fallback(options.fallback, options.root, options.seconds)
    except Exception as error:
        print(f"The grader failed: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        write_results(results, answer)
    return 0


def write_results(path: Path, answer: dict[str, Any]) -> None:
    """Write the result in one step into a folder that is root's alone."""
    if os.geteuid() == 0:
        os.chown(path.parent, 0, 0)
    path.parent.chmod(0o700)
    clear(path)
    number, name = tempfile.mkstemp(dir=path.parent)
    with open(number, "w", encoding="utf-8") as file:
        file.write(encodable(json.dumps(answer, indent=1, ensure_ascii=False)) + "\n")
    Path(name).replace(path)


@contextlib.contextmanager
def closed_to_others(root: Path) -> Iterator[None]:
    """Have nobody but this user enter the container's folder, nor what lies in it, for as long as this lasts."""
    paths = [path for path in (root, *root.iterdir()) if not path.is_symlink()]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    try:
        for path, mode in modes.items():
            with contextlib.suppress(OSError):  # whether it holds is tried out
                path.chmod(mode & 0o700)
        yield
    finally:
        for path, mode in modes.items():
            with contextlib.suppress(OSError):
                path.chmod(mode)


def clear(path: Path) -> None:
    """Remove what a student's code may have put where the results belong: a file, a link, a pipe or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def failed(message: str) -> dict[str, Any]:
    """A result that says so, and gives no points."""
    return {"score": 0.0, "output": message, "visibility": "visible", "stdout_visibility": "hidden", "tests": []}


def who(root: Path) -> tuple[str, str]:
    """The first submitter's id and the names of all, from Gradescope's metadata."""
    try:
        metadata = json.loads((root / "submission_metadata.json").read_text(encoding="utf-8"))
        ids = [str(user.get("sid") or user.get("email") or user.get("id")) for user in metadata["users"]]
        names = [str(user.get("name") or student) for user, student in zip(metadata["users"], ids, strict=True)]
        return ids[0], " and ".join(names)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "student", ""


def grade_folder(root: Path) -> dict[str, Any]:
    """Grade apart from the tests, in the strongest walls there are.

    Raises:
        NoSandboxError: this container allows none.
    """
    student, name = who(root)
    everything = collect(root / "submission")
    found = [s for s in everything if not s.beside]
    readable = [s for s in found if s.notebook is not None]
    if not readable:
        problem = found[0].problem if found else "nothing was handed in"
        return failed(f"Your submission could not be graded: {problem}.")
    chosen = max(readable, key=lambda s: s.modified)
    assert chosen.notebook is not None
    limits = Limits(total_seconds=SECONDS)
    own = [
        replace(s, student=student) for s in everything if s.part != chosen.part
    ]  # whatever their names: one person's
    job = Job(student, chosen.part, chosen.notebook.code, secrets.token_hex(32), earlier_files(own).get(student, {}))
    private = [root, *root.iterdir(), *(ROOT / folder for folder in PRIVATE)]
    with (
        closed_to_others(root),
        open_sandbox(limits, private=private) as sandbox,
        bounded_memory(limits.judge_memory),
    ):
        result = judge.grade(sandbox, job, limits)
    submission = StoredSubmission.of(replace(chosen, student=student, name=name))
    answer = outputs.gradescope(sheet_row(submission, result, {}))
    if result.protection is not None:
        answer["output"] += f" {result.protection.said}"
    if " and " in name:
        answer["output"] += f" Handed in by {name}."
    if len(readable) > 1:
        answer["output"] += f" Of {len(readable)} notebooks, {chosen.file} was graded."
    return answer


def run_fallback(command: list[str], root: Path, seconds: int) -> dict[str, Any]:
    """Run otter under a time limit, as root's as another user; return its results, or say why there are none."""
    if not command:
        return failed("This container allows no sandbox, and no other grader was set up. Tell your instructor.")
    results = root / "results" / "results.json"
    clear(results)
    account = new_account(root / "submission") if os.geteuid() == 0 else None
    said = _run(command, root, seconds, account)
    if said:
        return failed(said)
    answer = read_results(results)
    if answer is None:
        return failed("Your notebook ended the grader before it had a result (sys.exit, os._exit or a crash?).")
    return answer | {"output": f"{Protection(False).said} {answer.get('output') or ''}".strip()}


def _run(command: list[str], root: Path, seconds: int, account: Account | None) -> str:
    """Run a command, as another user if there is one, of which nothing is left afterwards; say what went wrong."""
    process = _start(command, root, account)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"Your notebook did not finish within {seconds} s: is there an endless loop in it?"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if account is not None:
            end_processes(account)
    return ""


def _start(command: list[str], root: Path, account: Account | None) -> subprocess.Popen[bytes]:
    options: dict[str, Any] = {"start_new_session": True, "env": os.environ | {"HOME": "/tmp"}}
    if account is not None:
        hand_over(root, account.uid)
        try:
            return subprocess.Popen(command, user=account.uid, group=account.uid, extra_groups=[], **options)
        except PermissionError as error:
            print(f"Root may not be another user here: {error}", file=sys.stderr)
    return subprocess.Popen(command, **options)


def hand_over(root: Path, uid: int) -> None:
    """Give the unprivileged user what otter makes or writes on its way."""
    package, config, submission = root / "__init__.py", root / "source" / "otter_config.json", root / "submission"
    package.touch()
    own = [root / "results", package, submission, *submission.rglob("*")]
    if config.exists():
        own.append(config)
    for path in own:
        os.chown(path, uid, uid, follow_symlinks=False)


def read_results(path: Path) -> dict[str, Any] | None:
    """What otter wrote, or None if it wrote nothing that can be read; the student's code may have put anything there."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_RESULTS:
        return None
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) and isinstance(answer.get("tests"), list) else None


if __name__ == "__main__":
    sys.exit(main())
