"""The web site: no broken link or formula, no solution where students look, pages that open from a folder and shut nobody out.

The whole site is built once for all tests here, with all five parts. Of a run, Part 1 alone has one, which is made up.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import typer
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from autograder import masters
from autograder.cli import app
from autograder.publish.site import staging
from autograder.rehearse import run
from helpers.parts import PARTS, ROOT
from helpers.plots import AltImage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("site"),  # built once
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the site's generator needs Python 3.11"),
]
ALT = "Bars, and what a reader who cannot see them should know."
PRINTED = "printed by the solution"
KINDS = [  # one page of each kind
    "index.html", "notebooks/01_baseline.html", "docs/notation.html", "docs/students.html", "commands/grade.html", "search.html",
]  # fmt: skip
VIEWS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390), "dark phone": ("dark", 390)}


@pytest.fixture(scope="module", autouse=True)
def made_up_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A run of Part 1 in which every cell has drawn a figure and printed something."""
    folder = tmp_path_factory.mktemp("run")
    notebook = nbformat.read(ROOT / "solutions" / f"{PARTS[1]}.ipynb", as_version=4)
    figure = nbformat.v4.new_output("display_data", data=AltImage(b"\x89PNG", ALT)._repr_mimebundle_())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=PRINTED), figure]
    nbformat.write(notebook, folder / f"{PARTS[1]}.ipynb")
    record = run.Execution(1, True, 1.0, fast=True, preset="tiny", key="")
    (folder / f"{PARTS[1]}.json").write_text(json.dumps(asdict(record)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "RUN_FOLDER", folder)
        yield


@pytest.fixture(scope="module")
def site(made_up_run: None, tmp_path_factory: pytest.TempPathFactory) -> staging.Site:
    """The whole site, as `course site` builds it."""
    return staging.build_site(tmp_path_factory.mktemp("a site"))


@dataclass
class Read(HTMLParser):
    """What a page holds: where its links lead, what it loads, its anchors, its prose without code and formulas, its pictures."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    prose: list[str] = field(default_factory=list)
    pictures: list[str | None] = field(default_factory=list)
    following: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    NO_PROSE = ("code", "pre", "math", "script", "style")

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag says."""
        at = dict(attrs)
        self.anchors.add(at.get("id") or "")
        if tag == "a":
            self.links.append(at.get("href") or "")
            self.following += [at.get("href") or ""] if "right-next" in (at.get("class") or "") else []
        elif tag in ("img", "script", "link", "iframe", "source"):
            self.loads.append(at.get("src") or at.get("href") or "")
        if tag == "img":
            self.pictures.append(at.get("alt"))
        if tag in self.NO_PROSE:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave the code or the formula."""
        if tag in self.NO_PROSE and tag in self.inside:
            self.inside.remove(tag)

    def handle_data(self, data: str) -> None:
        """Keep prose."""
        if not self.inside:
            self.prose.append(data)


@pytest.fixture(scope="module")
def pages(site: staging.Site) -> dict[str, Read]:
    """Every page, read, by its path."""
    found = {}
    for path in sorted(site.folder.rglob("*.html")):
        if "_static" not in path.relative_to(site.folder).parts:
            found[path.relative_to(site.folder).as_posix()] = page = Read()
            page.feed(path.read_text(encoding="utf-8"))
    return found


def test_sphinx_has_nothing_to_complain_of(site):
    """A link to a section that is not there, a formula that cannot be read, a page that nothing leads to: each is a warning."""
    assert site.warnings == []
    assert site.without_figures == [2, 3, 4, 5]


def test_no_link_is_broken_and_nothing_is_fetched(site, pages):
    for name, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                assert link not in page.loads, f"{name} loads {link}"
                continue
            if not link or parts.scheme == "data":
                continue
            target = (site.folder / name).parent / unquote(parts.path) if parts.path else site.folder / name
            assert target.is_file(), f"{name}: {link}"
            if parts.fragment and link in page.links and target.suffix == ".html":
                inside = pages[target.resolve().relative_to(site.folder.resolve()).as_posix()]
                assert unquote(parts.fragment) in inside.anchors, f"{name}: {link}"


def test_formulas_are_formulas(site, pages):
    """No TeX is left in the prose, and there are as many formulas as one expects of a course."""
    for name, page in pages.items():
        left = re.search(r"\$[^$\s]{1,40}\$|\\(frac|sum|text|pi|mathbb)\b", " ".join(page.prose))
        assert left is None, f"{name}: {left.group()}"
    text = (site.folder / "notebooks" / "02_reinforce.html").read_text(encoding="utf-8")
    assert text.count("<math") > 100
    assert "<merror" not in text


def test_next_leads_through_the_whole_site(pages):
    """From the first page to the last, through each part, doc and command once."""
    name, seen = "index.html", ["index.html"]
    while pages[name].following:
        (link,) = pages[name].following
        folder = Path(name).parent
        name = (folder / link).as_posix() if not link.startswith("../") else link.removeprefix("../")
        assert name not in seen, f"{name} comes twice"
        seen.append(name)
    assert set(pages) - set(seen) == {"genindex.html", "search.html"}
    docs = {f"docs/{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    assert docs | {f"notebooks/{name}.html" for name in PARTS.values()} <= set(seen)


def test_a_figure_is_shown_with_its_text_and_no_answer_is(pages, site):
    """In the student's site: figures of ordinary cells, nothing that is printed, nothing of a cell that holds an answer."""
    page, text = pages["notebooks/01_baseline.html"], (site.folder / "notebooks/01_baseline.html").read_text("utf-8")
    student = nbformat.read(ROOT / "notebooks" / f"{PARTS[1]}.ipynb", as_version=4)
    solution = {cell.id: cell.source for cell in nbformat.read(ROOT / "solutions" / f"{PARTS[1]}.ipynb", 4).cells}
    same = [cell for cell in student.cells if cell.cell_type == "code" and solution.get(cell.id) == cell.source]
    assert page.pictures.count(ALT) == len(same) > 20
    assert PRINTED not in text
    assert "small sizes" in " ".join(page.prose)
    for question in masters.load_questions(1):
        if question.manual:
            words = question.sample_answer.split()[:8]
            assert " ".join(words) not in " ".join(" ".join(page.prose).split()), question.name


def test_every_picture_has_a_text(pages):
    assert [name for name, page in pages.items() if None in page.pictures] == []


def test_the_instructors_site_says_so_on_every_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a folder is meant from where one stands
    made = staging.build_site(Path("out"), solutions=True, parts=[1])
    assert made.folder == tmp_path.resolve() / "out"
    paths = [path for path in made.folder.rglob("*.html") if "_static" not in path.parts]
    texts = {path.name: unescape(path.read_text(encoding="utf-8")) for path in paths}
    assert len(texts) > 20
    assert [name for name, text in texts.items() if staging.WARNING not in text] == []
    assert PRINTED in texts["01_baseline.html"]
    assert "masked_fill" in texts["01_baseline.html"]


def test_every_command_has_a_page_that_names_its_options(site):
    """The pages are made from the command line itself, so an option that is added today stands there today."""
    commands = typer.main.get_command(app)
    assert isinstance(commands, typer.core.TyperGroup)
    assert len(commands.commands) > 10
    for name, command in commands.commands.items():
        text = (site.folder / "commands" / f"{name}.html").read_text(encoding="utf-8")
        wanted = [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
        assert [option for option in wanted if f'"pre">{option}' not in text] == [], name


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(staging.SiteError, match="holds files that are no site"):
        staging.claim(tmp_path, "student")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_two_sites_are_never_mixed(tmp_path):
    (tmp_path / ".git").mkdir()
    staging.claim(tmp_path, "solutions")
    staging.claim(tmp_path, "solutions")
    with pytest.raises(staging.SiteError, match="holds the solutions site"):
        staging.claim(tmp_path, "student")


# --- the three pages to look things up ------------------------------------------------------------------------------

EXPLAINED = re.compile(
    r"(?:called|is a|is an|is the|This is|A|An)\s+(?:the |an |a )?\*\*([^*.:?]{2,40})\*\*|^# \| \*\*([^*]+)\*\* \|",
    re.M,
)
NO_TERMS = {"gap", "one file", "progress bar", "steer it by reward"}  # stand like terms and are none


def test_every_term_that_a_master_explains_stands_in_the_glossary():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").lower()
    for part in PARTS:
        text = masters.master_path(part).read_text(encoding="utf-8")
        for match in EXPLAINED.finditer(text):
            term = " ".join((match.group(1) or match.group(2)).lower().replace("#", " ").split())
            known = term in NO_TERMS or term.removesuffix("s") in glossary
            assert known, f"part {part} explains {term!r}: add it to docs/glossary.md"


def test_the_bibliography_has_every_paper_that_a_master_cites():
    number = re.compile(r"arXiv\s+(?:#\s+)?(\d{4}\.\d{5})|arxiv\.org/abs/(\d{4}\.\d{5})")
    listed = (ROOT / "docs" / "bibliography.md").read_text(encoding="utf-8")
    for part in PARTS:
        for found in number.finditer(masters.master_path(part).read_text(encoding="utf-8")):
            paper = found.group(1) or found.group(2)
            assert f"arxiv.org/abs/{paper}" in listed, (
                f"part {part} cites arXiv {paper}: add it to docs/bibliography.md"
            )


# --- in a browser ---------------------------------------------------------------------------------------------------


@contextmanager
def shown(browser: Browser, path: Path, view: str = "light", query: str = "") -> Iterator[Page]:
    """A page as it is seen from its folder; what it complains of or asks the network for is an error."""
    scheme, width = VIEWS[view]
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}).new_page()  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(path.as_uri() + query)
    yield page
    page.context.close()
    assert complaints == [], path.name


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.browser
def test_no_page_shuts_anybody_out(browser, site, view):
    """Nothing serious for axe; no page scrolls sideways as a whole. Of a page's sections and cells four stand for all."""
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    cut = (
        "document.querySelectorAll('section section').forEach((part, n) => n < 4 || part.remove());"
        "document.querySelectorAll('.highlight').forEach((code, n) => n < 4 || code.remove())"
    )
    for name in KINDS:
        with shown(browser, site.folder / name, view) as page:
            assert page.evaluate(wide) == 0, f"{name} must be scrolled sideways ({view})"
            page.evaluate(cut)
            found = Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response["violations"]
            rules = [rule for rule in found if rule["impact"] in ("serious", "critical")]
            assert [f"{name}: {rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in rules] == [], view


@pytest.mark.browser
def test_search_works_from_the_folder(browser, site):
    with shown(browser, site.folder / "search.html", query="?q=advantage") as page:
        page.locator("#search-results li a", has_text="REINFORCE").wait_for()
        page.wait_for_function("document.querySelector('#search-results').textContent.includes('Search finished')")


@pytest.mark.browser
def test_every_formula_takes_room_and_has_the_font(browser, site):
    rooms = "[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect()).map(r => [r.width, r.height])"
    folded = "document.querySelectorAll('details:not([open]) math').length"
    loaded = "[...document.fonts].some(font => font.family.includes('STIX') && font.status === 'loaded')"
    with shown(browser, site.folder / "notebooks" / "03_kl.html") as page:
        sizes = page.evaluate(rooms)
        assert len(sizes) > 50
        assert sum(width < 3 or height < 5 for width, height in sizes) <= page.evaluate(folded)
        assert page.evaluate(f"document.fonts.ready.then(() => {loaded})")


@pytest.mark.browser
def test_dark_and_light_are_chosen_on_the_page(browser, site):
    ground = "getComputedStyle(document.body).backgroundColor"
    with shown(browser, site.folder / "index.html") as page:
        before = page.evaluate(ground)
        page.get_by_label("Color mode").first.click()
        page.locator("button[data-mode=dark]").first.click()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate(ground) != before
