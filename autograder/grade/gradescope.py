"""Inside Gradescope's container: `python -m autograder.grade.gradescope` grades the one submission that lies there.

Where the container allows namespaces this is the same sandboxed grader as `course grade`. Where it does not, the command
given after `--` (plain otter) runs instead, as an unprivileged user and under a time limit, and the result says that the
code ran in the process that judged it. Whatever happens, a `results.json` is written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.grade.sandbox.bubblewrap import NoSandboxError, Sandbox

from .intake.collect import collect, earlier_files
from .jobs import Job
from .judging import judge
from .limits import Limits, bounded_memory
from .results import outputs
from .results.rows import sheet_row
from .results.store import StoredSubmission
from .text import encodable

SECONDS = 600
UNPRIVILEGED = 65534
LARGEST_RESULTS = 16 << 20  # bytes
UNSANDBOXED = "Graded by otter alone, without the sandbox: this container allows no namespaces."


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
        clear(results)
        results.write_text(encodable(json.dumps(answer, indent=1, ensure_ascii=False)) + "\n", encoding="utf-8")
    return 0


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
    """The submitter's id and name, from Gradescope's metadata."""
    try:
        metadata = json.loads((root / "submission_metadata.json").read_text(encoding="utf-8"))
        first = metadata["users"][0]
        return str(first.get("sid") or first.get("email") or first.get("id")), str(first.get("name", ""))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return "student", ""


def grade_folder(root: Path) -> dict[str, Any]:
    """Grade in the sandbox.

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
    with Sandbox(limits) as sandbox, bounded_memory(limits.judge_memory):
        result = judge.grade(sandbox, job, limits)
    submission = StoredSubmission.of(replace(chosen, student=student, name=name))
    answer = outputs.gradescope(sheet_row(submission, result, {}))
    if len(readable) > 1:
        answer["output"] += f" Of {len(readable)} notebooks, {chosen.file} was graded."
    return answer


def run_fallback(command: list[str], root: Path, seconds: int) -> dict[str, Any]:
    """Run otter as an unprivileged user under a time limit; return its results, or say why there are none."""
    if not command:
        return failed("This container allows no sandbox, and no other grader was set up. Tell your instructor.")
    results = root / "results" / "results.json"
    clear(results)
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        hand_over(root)
        options = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
    process = subprocess.Popen(command, start_new_session=True, env=os.environ | {"HOME": "/tmp"}, **options)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return failed(f"Your notebook did not finish within {seconds} s: is there an endless loop in it?")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    answer = read_results(results)
    if answer is None:
        return failed("Your notebook ended the grader before it had a result (sys.exit, os._exit or a crash?).")
    return answer | {"output": f"{UNSANDBOXED} {answer.get('output') or ''}".strip()}


def hand_over(root: Path) -> None:
    """Give the unprivileged user what otter makes or writes on its way."""
    package, config, submission = root / "__init__.py", root / "source" / "otter_config.json", root / "submission"
    package.touch()
    own = [root / "results", package, submission, *submission.rglob("*")]
    if config.exists():
        own.append(config)
    for path in own:
        os.chown(path, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)


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
