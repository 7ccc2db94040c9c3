"""A notebook's first cell calls `start`: it prepares the machine and returns the grader. `headline` publishes a figure."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from helpers.parts import PARTS, ROOT

from .grader import make_grader
from .host import being_graded, on_hosted_notebook
from .kept_runs import place_runs
from .unsaved import keep_time
from .unwritten import watch
from .versions import install_missing, restart_needed, version_problems

# While a grader runs a notebook: small sizes, the embedded models, no network. What is set already stays as it is.
GRADING_DEFAULTS = {"COURSE_FAST": "1", "COURSE_ONLY_PRESET": "tiny", "COURSE_OFFLINE": "1"}


def start(part: int, *, seed: int = 0) -> Any:
    """Prepare a notebook: libraries, random seeds; it says where the notebook runs, and which versions do not fit.

    Where Drive is mounted in Colab, the folder `runs` is kept there (`helpers.notebook.kept_runs`). In Colab and on Kaggle
    it installs what is missing there, and never touches their torch. From then on, cells that wait for an exercise are left
    out with a sentence (`helpers.notebook.unwritten`). While a grader runs the notebook (otter, Gradescope, nbgrader) it sets
    `GRADING_DEFAULTS`, so that grading takes seconds, prints nothing, and leaves nothing out.

    Args:
        part: the number of the part, 1 to 5.
        seed: the seed of Python's, NumPy's and torch's random numbers.

    Returns:
        What the notebook calls `grader`: its `check` runs a question's public tests. None in nbgrader's form of a
        notebook, which has its tests in cells.

    Raises:
        ValueError: there is no such part.
        RuntimeError: the libraries that Colab or Kaggle lack could not be installed, or the session must be restarted.
    """
    if part not in PARTS:
        raise ValueError(f"There is no part {part}; the parts are 1 to {len(PARTS)}.")
    if being_graded():
        for name, value in GRADING_DEFAULTS.items():
            os.environ.setdefault(name, value)
    elif on_hosted_notebook():
        install_missing(ROOT / "requirements-colab.txt")
        if said := restart_needed():
            raise RuntimeError(said)
    from helpers.devices import memory_report, seed_everything

    seed_everything(seed)
    if not being_graded():
        print(f"Part {part} ({PARTS[part]}), Python {platform.python_version()}. {memory_report()}.")
        if said := place_runs():
            print(said)
        for line in [*version_problems(), *filter(None, [restart_needed()])]:
            print(f"Note: {line}")
        watch()
        keep_time()
    return make_grader()


def headline(name: str, value: float | str) -> None:
    """Publish a figure of this notebook for the table that `course run` prints; it does nothing elsewhere.

    Args:
        name: what the figure is, with its unit if it has one.
        value: the figure. A later value of the same name replaces an earlier one.
    """
    target = os.environ.get("COURSE_HEADLINES")
    if not target:
        return
    path = Path(target)
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    figures[name] = value if isinstance(value, str) else round(float(value), 4)
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")
