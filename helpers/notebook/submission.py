"""Handing in: `submit(part)` saves the notebook, runs the public tests in a fresh process and writes one file.

otter's own export does not work in Colab; this does.
"""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

from .carry import CATCH_UP, uploads
from .grader import hidden_counts, tests_folder
from .host import in_colab

LARGEST = 50 * 2**20  # bytes; more than this and the upload may be refused
SECONDS = 600  # for the public tests
HOW_TO_SAVE = "Save the notebook (Ctrl+S, or Cmd+S on a Mac), then run this cell again."


class SubmissionError(RuntimeError):
    """Nothing was written; the message says why and what to do."""


@dataclass
class Submission:
    """What `submit` made and found."""

    path: Path
    questions: dict[str, list[tuple[str, str]]]  # by question: (test, message), the message empty where it passed
    errors: list[str]
    unanswered: list[str]
    warnings: list[str]
    hidden: int
    note: str = field(default="")

    @property
    def passed(self) -> bool:
        """True if every public test passed."""
        return not self.note and all(not message for tests in self.questions.values() for _, message in tests)

    @property
    def summary(self) -> str:
        """One sentence on the tests."""
        later = f"{self.hidden} hidden ones run at grading" if self.hidden else "there are no hidden ones"
        if self.note:
            return f"The public tests could not be run: {self.note}"
        if self.passed:
            return f"All *public* tests passed; {later}."
        good = sum(not message for tests in self.questions.values() for _, message in tests)
        return f"{good} of {sum(map(len, self.questions.values()))} *public* tests passed; {later}."

    def lines(self) -> list[str]:
        """What there is to say, line by line."""
        lines = [self.summary]
        for question, tests in self.questions.items():
            good = sum(not message for _, message in tests)
            lines.append(f"  {'✓' if good == len(tests) else '✗'} {question}: {good} of {len(tests)} public tests")
            lines += [f"      {name}: {message.splitlines()[0]}" for name, message in tests if message]
        lines += [f"  ! {error}" for error in self.errors]
        lines += [f"  ! {name}: no answer written yet" for name in self.unanswered]
        lines += [f"  ! {warning}" for warning in self.warnings]
        size = self.path.stat().st_size / 2**20
        lines.append(f"Hand in this file: {self.path} ({size:.2f} MiB)")
        return lines

    def __repr__(self) -> str:
        """The plain-text form."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """The form that notebooks show."""
        colour = "#0b6e4f" if self.passed else "#a63d00"
        text = html.escape("\n".join(self.lines())).replace("*public*", "<i>public</i>")
        return f"<pre style='border-left:4px solid {colour};padding:.3em .8em;white-space:pre-wrap'>{text}</pre>"


def submit(part: int, notebook: str | Path | None = None, *, folder: str | Path | None = None) -> Submission:
    """Make the one file to hand in, and say what it holds.

    The functions and answers that the tests ask for are taken into a fresh Python process, with what they need;
    training cells are not run again. The file is written even when tests fail: part of the points is better than none.

    Args:
        part: the number of the part, 1 to 5.
        notebook: the notebook's file, where it is not found by itself.
        folder: where to write the file; beside the notebook by default.

    Raises:
        SubmissionError: if the notebook is not found or is another part's; nothing is written then.
    """
    content, source = read_notebook(part, notebook)
    warnings = unsaved_changes(content) if source != "colab" else []
    confirm_part(content, part)
    target = Path(folder or (Path.cwd() if source == "colab" else Path(source).parent))
    content.setdefault("metadata", {}).setdefault("otter", {})["assignment_name"] = PARTS[part]
    path = target / f"{PARTS[part]}-submission.zip"
    earlier = earlier_notebooks(part, Path.cwd() if source == "colab" else Path(source).parent)
    result, note = public_tests(content, part)
    questions = {name: [(test, message) for test, message in tests] for name, tests in result["questions"].items()}
    hidden = sum(count for name, count in hidden_counts().items() if name.startswith(f"q{part}_"))
    found = Submission(path, questions, result["errors"], unanswered(content), warnings, hidden, note)
    write_submission(path, content, found, part, earlier)
    if path.stat().st_size > LARGEST:
        found.warnings.append(
            "the file is large: clear the outputs you do not need (pictures above all) and submit again"
        )
    if source == "colab":
        download(path)
    return found


# ----------------------------------------------------------------------------------------- finding the notebook


def read_notebook(part: int, given: str | Path | None) -> tuple[dict[str, Any], str]:
    """The notebook as it is now, and where it came from: a path, or "colab".

    Raises:
        SubmissionError: if it is nowhere to be found.
    """
    if given is None and in_colab():
        content = colab_notebook()
        if content is not None:
            return content, "colab"
    path = find_notebook(part, given)
    if path is None:
        where = (
            "File > Download > Download .ipynb, then the folder symbol on the left > upload"
            if in_colab()
            else "save it"
        )
        raise SubmissionError(
            f"This notebook's file was not found. Give its name: submit({part}, notebook='{PARTS[part]}.ipynb'). "
            f"If there is no such file here: {where}."
        )
    save(path)
    try:
        return json.loads(path.read_text(encoding="utf-8")), str(path)
    except json.JSONDecodeError as error:
        raise SubmissionError(f"{path} is no notebook file ({error}). {HOW_TO_SAVE}") from error


def colab_notebook() -> dict[str, Any] | None:
    """The notebook as Colab's page holds it, unsaved changes included; None if Colab does not answer."""
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", request="", timeout_sec=60)
    except Exception as error:  # Colab's own module, undocumented: whatever it raises, there is another way
        print(f"Colab did not hand over the notebook ({type(error).__name__}: {error}); looking for a file instead.")
        return None
    return answer.get("ipynb") if isinstance(answer, dict) else None


def find_notebook(part: int, given: str | Path | None) -> Path | None:
    """The notebook's file: the one given, the one this kernel belongs to, or the one of the usual name."""
    if given is not None:
        candidates = [Path(given), Path.cwd() / given]
    else:
        name = f"{PARTS[part]}.ipynb"
        session = os.environ.get("JPY_SESSION_NAME", "")  # set by Jupyter: the notebook's path
        candidates = [Path(p) for p in (running_in_vscode(), session) if p.endswith(".ipynb")]
        candidates += [Path.cwd() / name, Path.cwd() / "notebooks" / name, ROOT / "notebooks" / name]
        if (
            in_colab()
        ):  # the fetched copy of the course holds the notebook as it was before any work: never hand that in
            untouched = (ROOT / "notebooks" / name).resolve()
            candidates = [p for p in (*candidates, Path("/content") / name) if p.resolve() != untouched]
        alone = [p for p in sorted(Path.cwd().glob(f"{PARTS[part]}*.ipynb")) if not p.stem.endswith(CATCH_UP)]
        candidates += alone if len(alone) == 1 and not in_colab() else []
    return next((path.resolve() for path in candidates if path.is_file()), None)


def running_in_vscode() -> str:
    """The notebook's path where VS Code runs it, else an empty string."""
    shell = _shell()
    return str(shell.user_ns.get("__vsc_ipynb_file__", "")) if shell is not None else ""


def _shell() -> Any:
    """The running IPython shell, or None."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def save(path: Path, patience: float = 5.0) -> bool:
    """Ask JupyterLab to save the notebook, and wait until the file has changed; False if it has not.

    Without JupyterLab at the other end (VS Code, a script) nothing happens; `unsaved_changes` sees what is missing.
    """
    if _shell() is None or getattr(_shell(), "kernel", None) is None:
        return False
    before = path.stat().st_mtime_ns
    try:
        import ipylab

        ipylab.JupyterFrontEnd().commands.execute("docmanager:save")
    except Exception as error:  # no front end, or another version of it: saving by hand works everywhere
        print(f"(The notebook could not be saved from here: {type(error).__name__}. {HOW_TO_SAVE})")
        return False
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if path.stat().st_mtime_ns != before:
            return True
        time.sleep(0.2)
    return False


def unsaved_changes(content: dict[str, Any]) -> list[str]:
    """Functions that stand otherwise in the file than in the cell that ran last: the file is older than the work."""
    shell = _shell()
    if shell is None:
        return []
    ran = {str(source).strip() for source in shell.user_ns.get("In", [])}
    latest: dict[str, str] = {}
    for source in shell.user_ns.get("In", []):
        if str(source).startswith("def "):
            latest[str(source).split("(")[0].removeprefix("def ").strip()] = str(source).strip()
    found = []
    for name, source in latest.items():
        cells = [text for text in _sources(content, "code") if text.startswith(f"def {name}(")]
        if cells and source not in cells and not any(text in ran for text in cells):
            found.append(f"{name}: the file differs from the cell you ran. {HOW_TO_SAVE}")
    return found


def _sources(content: dict[str, Any], kind: str) -> list[str]:
    """The sources of a notebook's cells of one kind."""
    cells = [cell for cell in content.get("cells", []) if cell.get("cell_type") == kind]
    return ["".join(cell["source"]).strip() for cell in cells]


def confirm_part(content: dict[str, Any], part: int) -> None:
    """Refuse the notebook of another part.

    Raises:
        SubmissionError: if the notebook's set-up cell names another part.
    """
    said = content.get("metadata", {}).get("otter", {}).get("assignment_name")
    if said and said != PARTS[part]:
        raise SubmissionError(
            f"This is the notebook {said}, not {PARTS[part]}. Open the right one and run its last cell."
        )


def unanswered(content: dict[str, Any]) -> list[str]:
    """The written questions that still hold the placeholder."""
    names = []
    for number, cell in enumerate(content.get("cells", []), start=1):
        if cell.get("cell_type") == "markdown" and "".join(cell["source"]).strip() == ANSWER_PLACEHOLDER:
            name = str(cell.get("id", "")).removesuffix("-answer")
            names.append(f"question {name}" if name.startswith("w") else f"the answer in cell {number}")
    return names


def earlier_notebooks(part: int, folder: Path) -> list[Path]:
    """The student's notebooks of earlier parts, uploaded or beside this one: later parts take functions from them."""
    places = [[place / f"{PARTS[n]}.ipynb" for place in (*uploads(), folder)] for n in range(1, part)]
    return [path for several in places if (path := next((p for p in several if p.is_file()), None)) is not None]


# --------------------------------------------------------------------------------------- testing and writing


def public_tests(content: dict[str, Any], part: int) -> tuple[dict[str, Any], str]:
    """Run the public tests in a fresh process; returns its result, and why it could not be run (empty if it was)."""
    nothing: dict[str, Any] = {"questions": {}, "errors": []}
    folder = tests_folder()
    if folder is None:
        return nothing, "there is no folder `tests` here. Run the first cell of the notebook."
    path = Path.cwd() / f".{PARTS[part]}-check.ipynb"
    path.write_text(json.dumps(content), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "helpers.notebook.public_check", str(path), str(folder.resolve()), str(part)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return nothing, f"they took longer than {SECONDS // 60} minutes: one of your functions may never end."
    finally:
        path.unlink(missing_ok=True)
    try:
        return json.loads(done.stdout.splitlines()[-1]), ""
    except (IndexError, json.JSONDecodeError):
        return nothing, f"the process ended early (exit code {done.returncode}). {done.stderr.strip()[-500:]}"


def write_submission(path: Path, content: dict[str, Any], found: Submission, part: int, earlier: list[Path]) -> None:
    """Write the zip: the notebook, what the public tests gave, and the notebooks of earlier parts in a folder."""
    summary = {
        "part": part,
        "notebook": f"{PARTS[part]}.ipynb",
        "public_tests": {name: [not message for _, message in tests] for name, tests in found.questions.items()},
        "note": found.note,
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": sys.version.split()[0],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{PARTS[part]}.ipynb", json.dumps(content, ensure_ascii=False, indent=1))
        archive.writestr("submission.json", json.dumps(summary, indent=1))
        for notebook in earlier:
            archive.write(notebook, f"earlier/{notebook.name}")


def download(path: Path) -> None:
    """Offer the file in Colab; where the browser refuses, it stands in the list of files on the left."""
    try:
        from google.colab import files

        files.download(str(path))
    except Exception as error:  # Colab's own module: the file is there whatever it raises
        print(f"The download did not start ({type(error).__name__}). The file is in the list on the left: {path}")
