"""What all tests share: annotations that hold, one thread for each process, and no skipped test where CI=true."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import install_import_hook

from tests import enforcement

# Two threads are slower than one for tiny models on few cores; torch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

# While the tests run, every annotation of these packages is enforced, the shapes and dtypes of tensors included; left out for
# speed are `assets` and the engine of the hidden tests, which is called a million times and takes whatever students return.
# Nothing of them may be imported before this line. What runs inside the sandbox is another process, and does not have the hook.
ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {
    "helpers.assets",
    *(f"autograder.reference.{name}" for name in ("casting", "checking", "quoting", "verify")),
}
ENFORCED = [
    module.name
    for package in ("helpers", "autograder.reference")
    for module in pkgutil.iter_modules([str(ROOT / package.replace(".", "/"))], f"{package}.")
    if module.name not in LEFT_OUT
]
for library in ("torch", "datasets", "shap", "IPython.display", "transformers.modeling_utils", "gymnasium"):
    importlib.import_module(library)  # what an enforced module imports first, the hook compiles anew: half a minute
install_import_hook(ENFORCED, f"{enforcement.__name__}.enforce")

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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine has no program for: `tests.machine` says so loudly, and with CI=true it is a failure."""
    from autograder.rehearse.doctor import find_chromium

    there = {"browser": find_chromium, "poppler": lambda: shutil.which("pdftotext")}
    for marker, look in there.items():
        if item.get_closest_marker(marker) and look() is None:
            pytest.skip(f"needs {marker}")


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    """A headless Chromium, of playwright's type `Browser`."""
    from playwright.sync_api import sync_playwright

    from autograder.rehearse.doctor import find_chromium

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        made = playwright.chromium.launch(executable_path=find_chromium(), args=options)
        yield made
        made.close()


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
