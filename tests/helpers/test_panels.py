"""The panels of the notebooks in a real JupyterLab: named for a screen reader, moved by the keyboard, drawn anew."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from helpers import widgets
from helpers.interpretability.knockouts import knockout_panel
from helpers.models import load_reward_model
from helpers.reinforce.rewriting import draw_advantages

ROOT = Path(__file__).parents[2]
TOKEN = "panels"

SETUP = """
import os, sys
os.environ.update(COURSE_PRESET="tiny", COURSE_WIDGETS="1"); os.environ.pop("COURSE_FAST", None)
sys.path.insert(0, {root!r})
import torch
from helpers.presets import choose_preset
from helpers.models import load_policy, load_reward_model
from helpers.baseline import quiz, token_bars as first
from helpers.reinforce import rewriting as second
from helpers.interpretability import knockouts as fifth
from helpers.dpo import figures as fourth
from helpers.kl import figures as third
from helpers.display import Page
from helpers.widgets import frontier_choice
preset = choose_preset("auto")
policy, tokenizer = load_policy(preset, "cpu")
reward_model = load_reward_model(preset, device="cpu")
def top_k(logits, k):
    return logits if k <= 0 else logits.masked_fill(logits < logits.topk(k).values[:, -1:], -torch.inf)
"""
CELLS = {
    "next token": "first.next_token_panel(policy, tokenizer, top_k)",
    "forecasts": "quiz.forecast_form()",
    "advantage": (
        "second.advantage_panel(['A dull film.', 'A film.', 'A fine film.'], reward_model,"
        " lambda r: r - (r.sum() - r) / (len(r) - 1))"
    ),
    "frontier": (
        "points = [{'name': n, 'kl': k, 'reward': r, 'method': 'REINFORCE'} for n, k, r in (('near', .5, .6), ('far', 9., .9))]\n"
        "frontier_choice(points, lambda p: Page('page of ' + p['name'], 'page of ' + p['name']),"
        " lambda points, highlight=None: third.plot_frontier(points, highlight=highlight))"
    ),
    "margin": (
        "import numpy as np\n"
        "fourth.margin_explorer(lambda m, b: np.logaddexp(0, -b * m), lambda m, b: 1 / (1 + np.exp(b * m)))"
    ),
    "heads": (
        "fifth.knockout_panel(lambda heads: (torch.full((4,), 12.0 - 5 * len(heads)), torch.full((4,), .5)),"
        " [(l, h) for l in range(3) for h in range(4)])"
    ),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A JupyterLab on a free port with one notebook of all panels; its address."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(SETUP.format(root=str(ROOT)))]
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in CELLS.values()]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "panels.ipynb")
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)  # by itself JupyterLab draws only the cells that are in view
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}', encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        f"--port={port}",
        f"--IdentityProvider.token={TOKEN}",
        "--no-browser",
        "--allow-root",
        "--ServerApp.port_retries=0",
    ]
    log = (folder / "lab.log").open("w", encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *options], cwd=folder, stdout=log, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "lab.log").read_text(encoding="utf-8")
                time.sleep(0.2)
        yield f"{address}/lab/tree/panels.ipynb?token={TOKEN}&reset"
    finally:
        server.terminate()
        server.wait(timeout=60)
        log.close()


@pytest.fixture(scope="module")
def page(lab: str, browser: Any) -> Generator[Any]:
    """The notebook, run from top to bottom."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(240_000)
    page.goto(lab)
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.get_by_text(
        "Python 3 (ipykernel) | Idle"
    ).first.wait_for()  # what is run before the kernel is there is not run at all
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.get_by_label("2.1").first.wait_for(state="attached")  # a box of the last panel
    yield page
    page.close()


def pictures(page: Any, told: str) -> Any:
    """Images whose alternative text holds some words."""
    return page.locator(f'img[alt*="{told}"]')


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_panel_has_names_and_obeys_the_keyboard(page):
    for name in ("temperature", "top k", "prompt", "your text", "policy number", "β", "P(1. right)", "0.0"):
        assert page.get_by_label(name, exact=True).count() >= 1, f"{name}: no field of this name"

    field = page.get_by_label("top k", exact=True)
    field.click()
    field.press("ArrowUp")
    pictures(page, "Entropy 0.00 nats").first.wait_for()  # only the likeliest token is left

    field = page.get_by_label("your text", exact=True)
    field.fill("I loved it.")
    field.press("Enter")
    pictures(page, "'I loved it.' reward").first.wait_for()

    field = page.get_by_label("policy number", exact=True)
    field.click()
    field.press("ArrowUp")
    pictures(page, "A ring marks far").first.wait_for()
    page.get_by_text("page of far").first.wait_for()

    field = page.get_by_label("β", exact=True)
    field.click()
    field.press("ArrowUp")
    pictures(page, "The thick curve is that of β = 0.22").first.wait_for()

    field = page.get_by_label("P(1. right)", exact=True)
    field.click()
    field.press("ArrowUp")
    page.get_by_text("1 of 26 forecasts made").first.wait_for()

    for box in ("2.0", "2.3"):
        page.get_by_label(box, exact=True).focus()
        page.keyboard.press("Space")
    page.get_by_text("without 2.0, 2.3: logit difference 2.00, the whole model's times 0.17 (").first.wait_for()


@pytest.mark.browser
@pytest.mark.slow
def test_no_control_of_a_panel_is_without_a_name(page):
    """axe's rules for names and labels, inside the outputs: the shell around them is JupyterLab's own."""
    from axe_playwright_python.sync_playwright import Axe

    rules = ["label", "aria-input-field-name", "button-name", "select-name", "image-alt"]
    found = Axe().run(page, context=".jp-OutputArea", options={"runOnly": {"type": "rule", "values": rules}})
    bad = [(rule["id"], node["html"]) for rule in found.response["violations"] for node in rule["nodes"]]
    assert not bad, json.dumps(bad, indent=1)


def test_without_widgets_each_setting_is_shown(capsys):
    shown = []
    controls = {"top k": widgets.number(0, 0, 5, 1), "prompt": widgets.text("A")}
    widgets.panel(lambda top_k, prompt: shown.append((top_k, prompt)), controls, still=[{}, {"top_k": 3}])
    assert shown == [(0, "A"), (3, "A")]

    def measure(heads):
        return torch.full((2,), 10.0 - 4 * len(heads)), torch.ones(2)

    knockout_panel(measure, [(0, 0), (0, 1)], still=[[(0, 1)]])
    printed = capsys.readouterr().out
    assert "without none: logit difference 10.00, the whole model's times 1.00 (1.00 to 1.00)" in printed
    assert "without 0.1: logit difference 6.00, the whole model's times 0.60 (0.60 to 0.60)" in printed


def test_what_was_added_to_a_long_text_is_seen():
    """On paper two figures, before and after words of praise, had the same words beside their bars."""
    long = "The best that can be said about this film is that it ends before one has fallen asleep."
    texts = [long, f"{long} It is wonderful.", "Short.", "x" * 60]
    fig = draw_advantages(texts, load_reward_model("tiny"), lambda rewards: rewards)
    before, after, short, word = (label.get_text() for label in fig.axes[0].get_yticklabels())
    assert before == "The best that can be … one has fallen asleep."
    assert after.endswith("It is wonderful.")
    assert short == "Short."
    assert 20 < len(word) < 60
