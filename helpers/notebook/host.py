"""Where a notebook runs: in Colab, on Kaggle, under a grader, or on the student's own machine."""

from __future__ import annotations

import importlib.util
import os
import sys


def being_graded() -> bool:
    """True while otter, nbgrader or the course's own grader runs the notebook."""
    if os.environ.get("COURSE_GRADING") == "1" or "NBGRADER_EXECUTION" in os.environ:
        return True
    otter = sys.modules.get("otter")
    return bool(otter is not None and getattr(getattr(otter, "Notebook", None), "_grading_mode", False))


def in_colab() -> bool:
    """True in Google Colab."""
    if "google.colab" in sys.modules:
        return True
    try:
        return importlib.util.find_spec("google.colab") is not None
    except (ModuleNotFoundError, ValueError):  # no `google` package at all
        return False


def on_kaggle() -> bool:
    """True in a session of Kaggle's."""
    return "KAGGLE_KERNEL_RUN_TYPE" in os.environ


def on_hosted_notebook() -> bool:
    """True where only the notebook is ours and the Python is the host's: Colab and Kaggle."""
    return in_colab() or on_kaggle()


def host() -> str:
    """`"colab"`, `"kaggle"`, or an empty text for every place where the notebook is a file beside the kernel."""
    return "colab" if in_colab() else "kaggle" if on_kaggle() else ""
