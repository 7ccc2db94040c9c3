"""`course run`: execute the solution notebooks from top to bottom, once for each state of what matters to them."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from autograder import masters, stamps
from autograder.publish.normalise import write_json, write_notebook
from autograder.stamps import files_below
from helpers.parts import PARTS, ROOT

RUN_FOLDER = ROOT / "build" / "run"
CELL_SECONDS = 3600
SUBMIT_CELL = "course-submit"  # the id that the build gives it
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Execution:
    """What executing one solution notebook gave."""

    part: int
    ok: bool
    seconds: float
    fast: bool
    preset: str
    key: str
    headlines: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str = ""
    cached: bool = False

    @property
    def notebook(self) -> Path:
        """The executed notebook, with its outputs."""
        return executed_path(self.part)


def executed_path(part: int, folder: Path | None = None) -> Path:
    """Where a part's executed notebook lies; `folder` is `build/run` unless it is given."""
    return (folder or RUN_FOLDER) / f"{PARTS[part]}.ipynb"


def load_execution(part: int, folder: Path | None = None) -> Execution | None:
    """The last run of a part in a folder, as it was recorded; None if there was none."""
    record = (folder or RUN_FOLDER) / f"{PARTS[part]}.json"
    if not record.exists() or not executed_path(part, folder).exists():
        return None
    table = json.loads(record.read_text(encoding="utf-8"))
    table.pop("files", None)
    return Execution(**table)


def run_part(
    part: int,
    *,
    fast: bool = False,
    preset: str = "tiny",
    seed: int | None = None,
    folder: Path | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Execution:
    """Execute a part's solution notebook, unless it already ran in this very state.

    The executed notebook and what the run recorded go to `folder`, `build/run/` unless it is given. The notebooks work
    in `work/` below it, in one folder as a student's do, so that later parts find what earlier ones saved.

    Args:
        part: the number of the part.
        seed: the seed of the run; None leaves the one that is written in the notebook.
        folder: where all of this is kept.
        fast: small sizes (`COURSE_FAST=1`): whether it runs, not what it learns.
        preset: the preset that `auto` stands for.
        force: execute in any case.
        progress: called with the number of code cells done and their total.

    Raises:
        FileNotFoundError: if the solution notebook has not been built.
    """
    path = masters.SOLUTIONS / f"{PARTS[part]}.ipynb"
    if not path.exists():
        raise FileNotFoundError(f"{path.relative_to(ROOT)} is not built yet: run `course build` first")
    folder = folder or RUN_FOLDER
    key = stamps.executed(part, fast=fast, preset=preset, seed=seed)
    last = load_execution(part, folder)
    if last and last.ok and last.key == key and not force:
        last.cached = True
        return last
    work = folder / "work"
    clear_earlier(part, folder)
    lay_out(work)
    before = set(files_below(work))
    headlines, claims = (folder / f"{PARTS[part]}.{kind}.json" for kind in ("headlines", "claims"))
    headlines.unlink(missing_ok=True)
    claims.unlink(missing_ok=True)
    notebook = nbformat.read(path, as_version=4)
    started = time.perf_counter()
    settings = {
        "COURSE_FAST": "1" if fast else "",
        "COURSE_PRESET": preset,
        "COURSE_SEED": "" if seed is None else str(seed),
        "COURSE_HEADLINES": str(headlines),
        "COURSE_CLAIMS": str(claims),
        "COURSE_GRADING": "",
        "COURSE_WIDGETS": "0",  # nobody moves a slider here; an Output widget has been seen to hang a run without a front end
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    with environment_variables(settings):
        error = execute(notebook, work, progress)
    write_notebook(notebook, executed_path(part, folder))
    figures, found = (json.loads(f.read_text(encoding="utf-8")) if f.exists() else {} for f in (headlines, claims))
    run = Execution(part, not error, time.perf_counter() - started, fast, preset, key, figures, found, error)
    made = [str(f.relative_to(work)) for f in sorted(set(files_below(work)) - before)]
    write_json(folder / f"{PARTS[part]}.json", {**asdict(run), "files": made})
    return run


def lay_out(work: Path) -> None:
    """Put the solution notebooks into the working folder: later parts take functions from earlier ones."""
    work.mkdir(parents=True, exist_ok=True)
    for part in masters.existing_parts():
        source = masters.SOLUTIONS / f"{PARTS[part]}.ipynb"
        if source.exists():
            shutil.copyfile(source, work / source.name)


def clear_earlier(part: int, folder: Path) -> None:
    """Remove what an earlier run of this part left in a folder: a checkpoint of it must not stand in for the work."""
    record = folder / f"{PARTS[part]}.json"
    if not record.exists():
        return
    for name in json.loads(record.read_text(encoding="utf-8")).get("files", []):
        (folder / "work" / name).unlink(missing_ok=True)


@contextmanager
def environment_variables(settings: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while; the kernel inherits them."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def execute(notebook: nbformat.NotebookNode, folder: Path, progress: Callable[[int, int], None]) -> str:
    """Execute a notebook in place, all but the cell that hands in: that is the student's, and it would write a file.

    Returns:
        What went wrong, or an empty string.
    """
    everything = notebook.cells
    notebook.cells = [cell for cell in everything if cell.id != SUBMIT_CELL]
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    done = 0

    def count(**_: Any) -> None:
        nonlocal done
        done += 1
        progress(done, total)

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=count,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return ANSI.sub("", str(error)).strip()[-3000:]
    except (CellTimeoutError, DeadKernelError) as error:
        return f"{type(error).__name__}: {error}"[:3000]
    finally:
        notebook.cells = everything
    return ""
