"""What all tests share: annotations that hold, one thread for each process, and no skipped test where CI=true."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import install_import_hook

from tests import enforcement

# While the tests run, every annotation of these packages is enforced, the shapes and dtypes of tensors included; `assets` is
# left out for speed. Nothing of them may be imported before this line. What runs inside the sandbox is another process, and
# does not have the hook.
HELPERS = Path(__file__).resolve().parent.parent / "helpers"
ENFORCED = [f"helpers.{module.name}" for module in pkgutil.iter_modules([str(HELPERS)]) if module.name != "assets"]
install_import_hook([*ENFORCED, "autograder.reference"], f"{enforcement.__name__}.enforce")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads are slower than one for tiny models on few cores
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

NOTHING_SKIPPED = os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def part2() -> dict[str, Callable[..., Any]]:
    """The functions of Part 2's solution notebook."""
    import torch

    from autograder import masters
    from helpers.models import policy_logits

    space: dict[str, Any] = {"torch": torch, "F": torch.nn.functional, "policy_logits": policy_logits}
    for question in masters.load_questions(2):
        if question.function:
            exec(compile(question.solution, f"<{question.name}>", "exec"), space)
    return space


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skipped test is a failed one: what is not run is not known to work."""
    report = yield
    if NOTHING_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI skips nothing: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that is skipped while it is collected."""
    report = yield
    if NOTHING_SKIPPED and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, and CI skips nothing"
    return report
