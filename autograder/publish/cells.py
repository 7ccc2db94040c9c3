"""The cells that every notebook gets: set-up at the top, handing in at the end."""

from __future__ import annotations

from string import Template

import nbformat
from nbformat import NotebookNode

from .settings import Course

SETUP_TEXT = """\
**Set-up.** Run the next cell first, every time you open this notebook. It finds the course's files (in Colab and on
Kaggle it fetches them: about a minute the first time), checks the versions of the libraries, and prints which device
the notebook will compute on."""

SETUP_CODE = Template("""\
# Set-up: finds the course's files, or fetches them where only this notebook is there (Colab, Kaggle). No need to read it.
import base64
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

COURSE_REPOSITORY = "$repository"
COURSE_TAG = "$tag"  # the version of the course that this notebook belongs to
START = "helpers/notebook/start.py"
PATIENCE = 30  # seconds that a host may say nothing


def find_course(here):
    fetched = [
        folder for folder in places(here) if (folder / "requirements.txt").exists()
    ]  # its last file: it is whole
    uploaded = [path for depth in range(1, 6) for path in Path("/kaggle/input").glob("*/" * depth + START)]
    installed = importlib.util.find_spec("helpers")
    known = [Path(origin).parents[1] for origin in [installed and installed.origin] if origin]
    if not {"COURSE_GRADING", "NBGRADER_EXECUTION"} & set(os.environ):  # an instructor's copy is not for students' work
        known = [folder for folder in known if not (folder / "autograder").exists()]
    home = os.environ.get("COURSE_HOME")  # where a JupyterHub has the course for all
    known += [Path(home)] if home else []
    folders = (here, *here.parents, *fetched, *known, *(path.parents[2] for path in uploaded))
    return next((folder for folder in folders if (folder / START).exists()), None)


def places(here):
    return [here / "course", Path(os.path.expanduser("~"), "course")]


def course_token():
    if os.environ.get("COURSE_TOKEN"):
        return os.environ["COURSE_TOKEN"]
    for host, ask in (("google.colab.userdata", "get"), ("kaggle_secrets", "UserSecretsClient")):
        try:
            found = getattr(importlib.import_module(host), ask)
            return (found if ask == "get" else found().get_secret)("COURSE_TOKEN")
        except Exception:  # another host, no such secret, or one that this notebook may not read
            continue
    raise OSError("there is none called COURSE_TOKEN")


def by_git(half, token=""):
    patience = {
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
        "GIT_HTTP_LOW_SPEED_TIME": str(PATIENCE),
        "GIT_TERMINAL_PROMPT": "0",
    }
    if token:
        login = base64.b64encode(f"oauth2:{token}".encode()).decode()
        patience |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader"}
        patience |= {"GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}"}
    command = ["git", "clone", "--quiet", "--depth", "1", "--branch", COURSE_TAG, COURSE_REPOSITORY, str(half)]
    quiet = {"capture_output": True, "stdin": subprocess.DEVNULL, "env": {**os.environ, **patience}}
    try:
        done = subprocess.run(command, timeout=8 * PATIENCE, **quiet)
    except FileNotFoundError:
        raise OSError("it is not installed here") from None
    except subprocess.TimeoutExpired:
        raise OSError("no answer") from None
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip())


def by_zip(half, token=""):
    base = COURSE_REPOSITORY.removesuffix(".git")
    name = base.rsplit("/", 1)[-1]
    headers = {"Authorization": f"Bearer {token}", "PRIVATE-TOKEN": token} if token else {}
    problems = []
    # the archive of a tag on GitHub, Gitea and Forgejo; on GitLab; on Bitbucket
    for end in (
        f"archive/{COURSE_TAG}.zip",
        f"-/archive/{COURSE_TAG}/{name}-{COURSE_TAG}.zip",
        f"get/{COURSE_TAG}.zip",
    ):
        try:
            request = urllib.request.Request(f"{base}/{end}", headers=headers)
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return unpack(io.BytesIO(answer.read()), half)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            problems.append(f"{end}: {error}")
            if isinstance(error, OSError) and not isinstance(error, urllib.error.HTTPError):
                break  # nobody answers there
    raise OSError("; ".join(problems))


def unpack(file, half):
    with zipfile.ZipFile(file) as archive:
        inside = [name for name in archive.namelist() if f"/{name}".endswith(f"/{START}")]
        if not inside:
            raise zipfile.BadZipFile("it does not hold the course")
        archive.extractall(half.parent / "zip")
    Path(half.parent, "zip", inside[0].removesuffix(START)).replace(half)


def fetch_course(here):
    ways = {file.name: lambda half, file=file: unpack(file, half) for file in sorted(here.glob("*.zip"))}
    ways |= {"git": by_git, "its zip file": by_zip}
    ways |= {"git, with a token": lambda half: by_git(half, course_token())}
    ways |= {"its zip file, with a token": lambda half: by_zip(half, course_token())}
    problems = []
    print(f"Fetching the course from {COURSE_REPOSITORY} (about a minute) ...")
    for course in places(here):
        try:
            temporary = tempfile.TemporaryDirectory(prefix=".course-", dir=course.parent)  # whole or not at all
        except OSError as error:
            problems.append(f"  {error}")
            continue
        with temporary as folder:
            for number, (way, fetch) in enumerate(ways.items()):
                half = Path(folder, str(number), "course")
                half.parent.mkdir()
                try:
                    fetch(half)
                except (OSError, zipfile.BadZipFile) as error:
                    problems.append(f"  {way}: {error}")
                    continue
                if course.exists():  # what a fetch that was cut off has left
                    aside = next(path for n in range(1, 1000) if not (path := course.with_name(f"course-{n}")).exists())
                    course.replace(aside)
                    print(f"The folder {course} did not hold the whole course: it is called {aside.name} now.")
                half.replace(course)
                return course
        break
    raise RuntimeError(
        f"The course's files could not be fetched from {COURSE_REPOSITORY} ({COURSE_TAG}).\\n"
        + "\\n".join(problems)
        + "\\n"
        "- Is the network on? On Kaggle it is a switch in the settings at the right. Behind a proxy, run in a cell above this\\n"
        "  one: import os; os.environ['HTTPS_PROXY'] = 'http://ADDRESS:PORT'\\n"
        "- Is the repository private? Then your instructor gives you a token. Keep it as a secret called COURSE_TOKEN (Colab:\\n"
        "  the key at the left; Kaggle: Add-ons > Secrets), or run above: import os; os.environ['COURSE_TOKEN'] = '...'\\n"
        "- Or download the course as a zip file from that address, and upload it: in Colab with the folder symbol at the left,\\n"
        "  on Kaggle with Input > Upload at the right; elsewhere put it beside this notebook.\\n"
        "Then run this cell again."
    )


here = Path.cwd()
course = find_course(here) or fetch_course(here)
if course in places(here) and course not in here.parents:
    os.chdir(course / "notebooks")
if str(course) not in sys.path:
    sys.path.insert(0, str(course))

from helpers.notebook.start import start

grader = start(part=$part)""")

SUBMIT_TEXT = """\
---
## Handing in

The next cell makes **one file** to hand in. It saves the notebook where it can, takes the functions you wrote into a
fresh Python process, and runs the public tests on them there: only your definitions, imports and plain values are taken
over, the training cells are not run again. It says what passes, and how many hidden tests will run at grading. Hidden
tests use other sizes, other number types and random numbers; a function that follows its definition passes them.

Where to hand the file in is on your course's page. How far you are in all parts:
`from helpers.notebook.progress import progress; progress()`."""

SUBMIT_CODE = Template("""\
from helpers.notebook.submission import submit

submit(part=$part)""")

NBGRADER_SUBMIT_TEXT = """\
---
## Handing in

Save the notebook, then hand it in under **Nbgrader > Assignment List** (or the tab **Assignments**): press **Submit**
beside this assignment. **Validate** runs the public tests before. Hidden tests run at grading; they use other sizes,
other number types and random numbers, and a function that follows its definition passes them."""


def markdown(source: str, name: str) -> NotebookNode:
    """A read-only markdown cell with a fixed id."""
    return nbformat.v4.new_markdown_cell(
        source, metadata={"course_id": name, "editable": False, "deletable": False, "tags": ["course"]}
    )


def code(source: str, name: str, *tags: str) -> NotebookNode:
    """A read-only code cell with a fixed id."""
    return nbformat.v4.new_code_cell(
        source, metadata={"course_id": name, "editable": False, "deletable": False, "tags": ["course", *tags]}
    )


def setup_cells(part: int, course: Course) -> list[NotebookNode]:
    """The first cells: what the set-up does, and the set-up."""
    source = SETUP_CODE.substitute(repository=course.repository, tag=course.tag, part=part)
    setup = code(source, "course-setup")
    setup.metadata.update({"jupyter": {"source_hidden": True}, "cellView": "form"})  # long, and not to be read
    return [markdown(SETUP_TEXT, "course-setup-text"), setup]


def submit_cells(part: int) -> list[NotebookNode]:
    """The last cells of the otter form. Graders leave the call out: its tag tells otter to ignore it."""
    return [
        markdown(SUBMIT_TEXT, "course-submit-text"),
        code(SUBMIT_CODE.substitute(part=part), "course-submit", "otter_ignore"),
    ]


def nbgrader_submit_cells() -> list[NotebookNode]:
    """The last cell of the nbgrader form."""
    return [markdown(NBGRADER_SUBMIT_TEXT, "course-submit-text")]
