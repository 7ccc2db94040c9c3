"""The pages in a real browser: in the dark, on a phone, by keyboard, for a screen reader; marks entered there come out."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from autograder.grade import runner
from autograder.grade.result import CellError, LoadReport, Protection, QuestionResult, SubmissionResult, Usage
from autograder.grade.results import written
from autograder.grade.results.store import Store, StoredSubmission
from autograder.testing import TestResult
from tests.grade.samples import SECRET
from tests.grade.test_similarity import LEAKED

pytestmark = pytest.mark.browser
LONG = "no_blank_in_" * 30
ANSWER = (
    f"# A heading\n\nText, `{LONG}`, {LONG} and $$\\sum_{{i=1}}^n {'x_i + ' * 40} 1$$\n\n"
    f"| a | b |\n|---|---|\n| {LONG} | 2 |\n\n```\n{LONG}\n```\n![a dot](data:image/png;base64,iVBORw0KGgo=)"
)
RELOADS = 10  # at most, until what a page keeps has been written
VIEWS = {"light": ("light", 1200), "dark": ("dark", 1200), "phone": ("light", 360), "dark phone": ("dark", 360)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a small class that holds one of everything: long words, formulas, copies, faults."""
    out = tmp_path_factory.mktemp("class") / "out"
    with Store(out / "results.db") as store:
        store.set("secret", SECRET)
        for number in range(8):
            name, problem = f"student{number}", "the file is cut off" if number == 7 else ""
            text = ANSWER if number < 2 else "" if number == 2 else f"An answer of my own, number {number}, {LONG}"
            cells = [{"number": 1, "source": LEAKED if number < 3 else f"x = {number}", "tags": []}]
            found = StoredSubmission(
                name, 2, f"{LONG}.ipynb", name, f"Name{number} {LONG}" if number == 1 else "", "", ["late, 2 days"], problem,
                [] if problem else cells, {} if problem else {"w2_1": text, "w2_2": text},
            )  # fmt: skip
            store.register(found)
            if not problem:
                store.save(name, "tests", judged(name, number))
        store.set_mark("student3", "w2_1", 3.0, "Good,\nbut short.", "w2_1.csv")
        problems: list[str] = []
        runner.write_outputs(store, out, problems)
        assert not problems
    return out


def judged(student: str, number: int) -> SubmissionResult:
    """A result with tests that passed, failed and could not be judged, and a cell that raised."""
    message = f"token_log_probs: {number} of 30 numbers wrong for {LONG} (float32)"
    tests = [TestResult(f"test_{n}", n > 1, 1.0, n % 2 == 0, message if n % 2 else "") for n in range(4)]
    if number == 6:
        tests[3] = TestResult("test_3", True, 1.0, False, "the judge failed", error=True)
    return SubmissionResult(
        student, 2, possible=4.0,
        questions=(QuestionResult("q2_1", "token_log_probs", 4.0, tuple(tests)),),
        cells=LoadReport(ran=1, errors=(CellError(4, 2, "NameError", LONG),)),
        usage=Usage(0.4, 0.4, 1 << 28, 2),
        protection=Protection(sandboxed=number > 0, bubblewrap=True, seccomp=True, cgroup="v2"),
        measured={"q2_7": {"kl": 0.1 * number, "reward": 0.5}},
    )  # fmt: skip


def shown(browser: Browser, path: Path, view: str = "light") -> Page:
    """A page as it is seen; what it complains of is an error."""
    scheme, width = VIEWS[view]
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 700}).new_page()  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    assert complaints == []
    return page


def pages(folder: Path) -> list[Path]:
    """One of each kind, and the feedback of who has a fault in it."""
    names = ["report.html", "written/w2_1.html", *(f"feedback/student{n}-part2.html" for n in (0, 3, 6, 7))]
    return [folder / name for name in names]


@pytest.mark.parametrize("view", VIEWS)
def test_no_page_shuts_anybody_out(browser, folder, view):
    for path in pages(folder):
        page = shown(browser, path, view)
        found = Axe().run(page).response["violations"]
        told = [f"{path.name}: {rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found]
        assert told == [], view
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0, f"{path.name} must be scrolled sideways ({view})"
        page.context.close()


def test_every_stop_of_the_keyboard_is_seen_and_the_first_skips_to_the_content(browser, folder):
    for path in pages(folder):
        page = shown(browser, path)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
        page.keyboard.press("Enter")
        for _ in range(12):
            page.keyboard.press("Tab")
            look = (
                "(() => { const e = document.activeElement; return [e.tagName, getComputedStyle(e).outlineStyle]; })()"
            )
            tag, outline = page.evaluate(look)
            assert tag == "BODY" or outline != "none", f"{path.name}: the focus is not seen on {tag}"
        page.context.close()


def test_marks_are_entered_by_keyboard_kept_and_saved(browser, folder, tmp_path):
    page = shown(browser, folder / "written" / "w2_1.html")
    fields = page.get_by_label("Points of 4")
    with Store(folder / "results.db") as store:
        of_three = written.code_name(store.secret(), "student3", "w2_1")
        assert page.locator(f"#points-{of_three}").input_value() == "3"
    status = page.locator("#status")
    assert status.text_content() == "1 of 5 answers marked."
    fields.first.focus()
    page.keyboard.type("9")
    wrong = page.locator(".wrong").first
    assert "more than the 4 possible" in (wrong.text_content() or "")
    page.keyboard.press("Control+s")
    assert "Not saved: 1" in (status.text_content() or "")
    page.keyboard.press("Control+a")
    page.keyboard.type("1,5")
    assert wrong.text_content() == ""
    page.keyboard.press("Tab")
    page.keyboard.type('=1+1, "quoted" Ω')
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("2")
    for _ in range(RELOADS):  # the browser writes what a page keeps in its own time, on a busy machine after the reload
        page.reload()
        found = [field.input_value() for field in fields.all()[:2]]
        if found != ["", "3"]:  # as they are in the file
            break
    assert found == ["1,5", "2"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save marks").click()
    saved = tmp_path / "w2_1 (1).csv"  # as a browser names a second download
    download.value.save_as(saved)
    assert download.value.suggested_filename == "w2_1.csv"
    with saved.open(encoding="utf-8", newline="") as file:
        assert not [row for row in csv.reader(file) if any(cell.startswith("=") for cell in row)]
    with Store(folder / "results.db") as store:
        written.merge(store, saved)
        marks = [mark for (_, question), mark in store.marks().items() if question == "w2_1"]
    assert (1.5, '=1+1, "quoted" Ω') in marks
    assert {points for points, _ in marks} >= {1.5, 2.0}
    page.context.close()


def test_marks_of_another_hand_are_not_overwritten_by_a_draft(browser, folder, tmp_path):
    path = tmp_path / "w2_1.html"
    path.write_text((folder / "written" / "w2_1.html").read_text(encoding="utf-8"), encoding="utf-8")
    page = shown(browser, path)
    page.get_by_label("Points of 4").first.fill("1")
    path.write_text(path.read_text(encoding="utf-8").replace('value=""', 'value="2"'), encoding="utf-8")
    page.reload()
    assert page.get_by_label("Points of 4").first.input_value() == "2"
    page.context.close()
