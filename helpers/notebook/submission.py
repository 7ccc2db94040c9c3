"""Handing in: `submit(part)` saves the notebook, runs the public tests in a fresh process and writes one file.

otter's own export does not work in Colab; this does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

from .grader import hidden_counts, tests_folder
from .host import host, in_colab
from .notebook_file import UnreadableError, is_file, read_notebook
from .places import Copy, copies, has_work, how_to_save, listed, part_of, untouched
from .questions import label_of_question
from .submission_file import Submission, SubmissionError, download, session_root, write_submission
from .unsaved import defined, differing, shell, unsaved_work
from .unwritten import watching

LARGEST = 50 * 2**20  # bytes; more than this and the upload may be refused
SECONDS = 600  # for the public tests


class UntouchedError(SubmissionError):
    """The notebook is as it was handed out."""


def submit(part: int, notebook: str | Path | None = None, *, folder: str | Path | None = None) -> Submission | None:
    """Make the one file to hand in, and say what it holds.

    The functions and answers that the tests ask for are taken into a fresh Python process, with what they need;
    training cells are not run again. The file is written even when tests fail: part of the points is better than none.

    Args:
        part: the number of the part, 1 to 5.
        notebook: the notebook's file, where it is not found by itself.
        folder: where to write the file; beside the notebook by default.

    Returns:
        What was made; None in a notebook in which no exercise is written or was run: "Run all" goes to its end.

    Raises:
        SubmissionError: the notebook is not found, is another part's, or is as it was handed out, or the file cannot be
            written; nothing is written then.
    """
    if part not in PARTS:
        raise SubmissionError(f"There is no part {part}; the parts are 1 to {len(PARTS)}.")
    try:
        content, source = current_notebook(part, notebook)
        confirm_part(content, part)
        confirm_work(content, part, source)
    except UntouchedError as error:
        if not watching() or defined(_shell(), part):
            raise
        print(error)
        return None
    warnings = unsaved_changes(content, part, Path(source)) if source != "colab" else []
    content.setdefault("metadata", {}).setdefault("otter", {})["assignment_name"] = PARTS[part]
    earlier = earlier_notebooks(part)
    result, note = public_tests(content, part)
    questions = {name: [(test, message) for test, message in tests] for name, tests in result["questions"].items()}
    hidden = sum(count for name, count in hidden_counts().items() if name.startswith(f"q{part}_"))
    found = Submission(Path(), questions, result["errors"], unanswered(content), warnings, hidden, note)
    beside = [] if source == "colab" else [Path(source).parent]
    places = [Path(folder).expanduser()] if folder else [*beside, Path.cwd(), *session_root()]
    found.path = write_submission(places, content, found, part, earlier)
    if found.path.stat().st_size > LARGEST:
        found.warnings.append(
            "the file is large: clear the outputs you do not need (pictures above all) and submit again"
        )
    if source == "colab":
        download(found.path)
    return found


# ----------------------------------------------------------------------------------------- finding the notebook


def current_notebook(part: int, given: str | Path | None) -> tuple[dict[str, Any], str]:
    """The notebook as it is now, and where it came from: a path, or "colab".

    Raises:
        SubmissionError: if it is nowhere to be found, or its file holds no notebook.
    """
    if given is None and in_colab():
        content = colab_notebook()
        if content is not None:
            return content, "colab"
    path = find_notebook(part, given)
    if save(path, part):
        path = find_notebook(part, given)
    try:
        return read_notebook(path), str(path)
    except UnreadableError as error:
        raise SubmissionError(f"{path}: {error} {how_to_save(part)}") from error


def colab_notebook() -> dict[str, Any] | None:
    """The notebook as Colab's page holds it, unsaved changes included; None if Colab does not answer."""
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", request="", timeout_sec=60)
    except Exception as error:  # Colab's own module, undocumented: whatever it raises, there is another way
        print(f"Colab did not hand over the notebook ({type(error).__name__}: {error}); looking for a file instead.")
        return None
    return answer.get("ipynb") if isinstance(answer, dict) else None


def find_notebook(part: int, given: str | Path | None) -> Path:
    """The notebook's file: the one given, the one this kernel belongs to, else the student's only one of this part.

    Where there are several, it is the one with the functions that ran here; else the one of the usual name beside the
    kernel.

    Raises:
        SubmissionError: there is none with work in it, or more than one; the message asks for its name.
    """
    if given is not None:
        places = [Path(given).expanduser(), Path.cwd() / given]
        if there := next((path for path in places if path.exists()), None):
            return there.resolve()
        raise SubmissionError(f"There is no file {given} here (this is {Path.cwd()}). {_ask(part)}")
    session = os.environ.get("JPY_SESSION_NAME", "")  # set by Jupyter: the notebook's path when the kernel began
    own = [Path(named) for named in (running_in_vscode(), session) if named.endswith(".ipynb")]
    own = [] if in_colab() else [path.resolve() for path in own if is_file(path)]
    if own and not _moved_on(own[0], part):
        return own[0]
    found = [copy for copy in copies(part) if not copy.catch_up]
    mine = _fitting([copy for copy in found if has_work(copy, part)], part)
    beside = Path.cwd() / f"{PARTS[part]}.ipynb"
    if len(mine) > 1 and mine[0].path.absolute() != beside.absolute():
        raise SubmissionError(
            f"There are several notebooks of Part {part}, the latest first:\n{listed(mine)}\n"
            f"Say which one to hand in: submit({part}, notebook='{mine[0].path}')."
        )
    if mine:
        return mine[0].path.resolve()
    if own:
        return own[0]
    if broken := next((copy for copy in found if copy.problem), None):
        raise SubmissionError(f"{broken.path}: {broken.problem} {_ask(part)}")
    if found:
        raise UntouchedError(f"{_as_handed_out(found[0].path, part)} {_ask(part)}")
    raise SubmissionError(f"This notebook's file was not found. {_ask(part)}")


def _moved_on(path: Path, part: int) -> bool:
    """Whether what ran here is not in the kernel's own file but in another copy: the notebook was saved under a new name."""
    try:
        if not differing(_shell(), read_notebook(path), part):
            return False
    except (UnreadableError, AttributeError):  # no shell: nothing ran
        return False
    rest = [copy for copy in copies(part) if has_work(copy, part) and not copy.catch_up]
    return any(not differing(_shell(), copy.content, part) for copy in rest)


def _fitting(found: list[Copy], part: int) -> list[Copy]:
    """Those of several copies that differ in their cells; if functions ran here, those that hold most of them."""
    different = {json.dumps([cell["source"] for cell in copy.content["cells"]]): copy for copy in reversed(found)}
    rest = [copy for copy in found if any(copy is other for other in different.values())]
    if len(rest) < 2 or _shell() is None:
        return rest
    lacking = [len(differing(_shell(), copy.content, part)) for copy in rest]
    return [copy for copy, several in zip(rest, lacking, strict=True) if several == min(lacking)]


def _as_handed_out(what: Path | str, part: int) -> str:
    ran = "" if _shell() is None else ", ".join(defined(_shell(), part))
    lost = f" What you ran ({ran}) is not in it." if ran else ""
    return f"{what} is as it was handed out: nothing is written in it, so it is not handed in.{lost}"


def _ask(part: int) -> str:
    """What to do, here, about a notebook that was not found or holds no work."""
    again = f"submit({part}, notebook='{PARTS[part]}.ipynb')"
    if host() == "kaggle":
        return f"On Kaggle the notebook that you see is no file of this session. {how_to_save(part)}"
    return f"{how_to_save(part)} Give its name if it is called otherwise or lies elsewhere: {again}."


def running_in_vscode() -> str:
    """The notebook's path where VS Code runs it, else an empty string."""
    shell = _shell()
    return str(shell.user_ns.get("__vsc_ipynb_file__", "")) if shell is not None else ""


def _shell() -> Any:
    """The running IPython shell, or None."""
    return shell()


def save(path: Path, part: int, patience: float = 5.0) -> bool:
    """Ask JupyterLab to save the notebook, and wait until the file has changed; False if it has not.

    Without JupyterLab at the other end (VS Code, a script) nothing happens; `unsaved_changes` sees what is missing.
    """
    if _shell() is None or getattr(_shell(), "kernel", None) is None or host() or not is_file(path):
        return False
    before = path.stat().st_mtime_ns
    try:
        import ipylab

        ipylab.JupyterFrontEnd().commands.execute("docmanager:save")
    except Exception as error:  # no front end, or another version of it: saving by hand works everywhere
        print(f"(The notebook could not be saved from here: {type(error).__name__}. {how_to_save(part)})")
        return False
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if path.stat().st_mtime_ns != before:
            return True
        time.sleep(0.2)
    return False


def unsaved_changes(content: dict[str, Any], part: int, path: Path | None = None) -> list[str]:
    """Work that is in the running notebook and not in its file, each with what to do."""
    return [] if _shell() is None else unsaved_work(_shell(), content, part, path)


def confirm_part(content: dict[str, Any], part: int) -> None:
    """Refuse the notebook of another part.

    Raises:
        SubmissionError: if the notebook's metadata or its set-up cell names another part.
    """
    said = part_of(content)
    if said not in (None, part):
        raise SubmissionError(
            f"This is the notebook {PARTS[said or part]}, not {PARTS[part]}. Open the right one and run its last cell."
        )


def confirm_work(content: dict[str, Any], part: int, source: str) -> None:
    """Refuse a notebook that is as it was handed out, and the one that is handed out to catch up.

    Raises:
        SubmissionError: nothing is written in it.
    """
    if source != "colab" and Copy(Path(source), content).catch_up:
        raise SubmissionError(f"{source} was handed out to catch up; it is not a file to hand in. {_ask(part)}")
    if not untouched(content, part):
        return
    what = "This notebook" if source == "colab" else source
    raise UntouchedError(f"{_as_handed_out(what, part)} {_ask(part)}")


def unanswered(content: dict[str, Any]) -> list[str]:
    """The written questions that still hold the placeholder."""
    names = []
    for number, cell in enumerate(content.get("cells", []), start=1):
        if cell.get("cell_type") == "markdown" and "".join(cell["source"]).strip() == ANSWER_PLACEHOLDER:
            name = str(cell.get("id", "")).removesuffix("-answer")
            names.append(label_of_question(name) if name.startswith("w") else f"the answer in cell {number}")
    return names


def earlier_notebooks(part: int) -> dict[int, Copy]:
    """The student's notebook of each earlier part, wherever it is: later parts take functions from them."""
    own = {n: [copy for copy in copies(n) if has_work(copy, n) and not copy.catch_up] for n in range(1, part)}
    return {n: found[0] for n, found in own.items() if found}


# --------------------------------------------------------------------------------------- testing and writing


def public_tests(content: dict[str, Any], part: int) -> tuple[dict[str, Any], str]:
    """Run the public tests in a fresh process; returns its result, and why it could not be run (empty if it was)."""
    nothing: dict[str, Any] = {"questions": {}, "errors": []}
    folder = tests_folder()
    if folder is None:
        return nothing, "there is no folder `tests` here. Run the first cell of the notebook."
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, f"{PARTS[part]}.ipynb")
        path.write_text(json.dumps(content), encoding="utf-8")
        command = [sys.executable, "-m", "helpers.notebook.public_check", str(path), str(folder.resolve()), str(part)]
        try:
            done = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS, env=environment
            )
        except subprocess.TimeoutExpired:
            return nothing, f"they took longer than {SECONDS // 60} minutes: one of your functions may never end."
    try:
        return json.loads(done.stdout.splitlines()[-1]), ""
    except (IndexError, json.JSONDecodeError):
        return nothing, f"the process ended early (exit code {done.returncode}). {done.stderr.strip()[-500:]}"
