"""The first cell where the course is not there yet: every way of fetching it, and what is said when none works.

The cell runs in a process of its own, in a folder like Colab's root; the course that it fetches holds a stand-in for
`helpers.notebook.start`. Hosts are small servers on this machine.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from autograder.publish.cells import setup_cells
from autograder.publish.settings import Course

TAG = "v9.9"
FILES = {
    "helpers/__init__.py": "",
    "helpers/notebook/__init__.py": "",
    "helpers/notebook/start.py": "def start(part):\n    return f'started part {part}'\n",
    "notebooks/01_baseline.ipynb": "{}",
    "requirements-colab.txt": "",
    "requirements.txt": "",
}


def course_at(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def zipped(prefix: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(prefix + name, text)
    return data.getvalue()


class Host(ThreadingHTTPServer):
    """A git host that hands out zip files at one address, to all or to who has the token."""

    def __init__(self, path: str, token: str = "") -> None:
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                allowed = not token or self.headers.get("Authorization") == f"Bearer {token}"
                self.send_response(200 if self.path == path and allowed else 404)
                self.end_headers()
                if self.path == path and allowed:
                    self.wfile.write(zipped("course-9.9/"))

            def log_message(self, *arguments: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/group/course"


@pytest.fixture
def here(tmp_path) -> Path:
    """An empty folder with a blank and accents in its name."""
    folder = tmp_path / "Mes données é" / "content"
    folder.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    return folder


def run_cell(
    here: Path, address: str, *, git: str | None = None, tag: str = TAG, again: bool = False, **variables: str
):
    """Run the first cell; `git` is a shell script that stands in for git, or "real"; without it there is no git."""
    base = next(path for path in here.parents if (path / "home").exists())
    tools = base / "tools"
    tools.mkdir(exist_ok=True)
    if git == "real":
        (tools / "git").symlink_to(shutil.which("git") or "")
    elif git is not None:
        (tools / "git").write_text(f'#!/bin/sh\nfor last in "$@"; do :; done\n{git}\n')
        (tools / "git").chmod(0o755)
    source = setup_cells(1, Course("A test", address, tag))[1].source.replace("PATIENCE = 30", "PATIENCE = 1")
    source += "\nprint(grader, '|', os.getcwd(), '|', course)"
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "pythonpath", "course_token")
    environment = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    environment |= {"PATH": f"{tools}:/nowhere", "HOME": str(base / "home"), "NO_PROXY": "*"} | variables
    if git is not None and git != "real":
        environment["PATH"] = f"{tools}:/usr/bin:/bin"
    command = [sys.executable, "-I", "-S", "-c", source + ("\n" + source if again else "")]
    return subprocess.run(
        command, cwd=here, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60
    )


def started(done: subprocess.CompletedProcess[str], course: Path) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"started part 1 | {course / 'notebooks'} | {course}"
    assert not list(course.parent.glob(".course-*"))


COPY = "cp -r '{source}' \"$last\""


@pytest.mark.parametrize("path", [f"archive/{TAG}.zip", f"-/archive/{TAG}/course-{TAG}.zip", f"get/{TAG}.zip"])
@pytest.mark.parametrize("ending", ["", ".git"])
def test_without_git_the_archive_of_every_kind_of_host_is_fetched(here, path, ending):
    """GitHub, Gitea and Forgejo; GitLab; Bitbucket; addresses as they are copied."""
    with Host(f"/group/course/{path}") as host:
        started(run_cell(here, host.address + ending), here / "course")
        host.shutdown()


def test_git_clones_the_tag(here, tmp_path):
    source = course_at(tmp_path / "repository.git")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"], ["tag", TAG]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=source, check=True)
    started(run_cell(here, source.as_uri(), git="real", again=True), here / "course")


def test_a_fetch_that_was_cut_off_is_repaired_and_nothing_is_lost(here, tmp_path):
    source = course_at(tmp_path / "source")
    half = here / "course"
    (half / ".git").mkdir(parents=True)
    (half / "helpers" / "notebook").mkdir(parents=True)
    (half / "helpers" / "notebook" / "start.py").write_text("this is cut off (")
    (half / "my notes.txt").write_text("mine")
    done = run_cell(here, "https://example.org/x", git=COPY.format(source=source))
    started(done, here / "course")
    assert "is called course-1 now" in done.stdout
    assert (here / "course-1" / "my notes.txt").read_text() == "mine"


def test_a_fetch_that_is_cut_off_now_leaves_nothing_behind(here, tmp_path):
    source = course_at(tmp_path / "source")
    cut = 'mkdir -p "$last/helpers/notebook"; touch "$last/helpers/notebook/start.py"; echo "early EOF" >&2; exit 128'
    done = run_cell(here, "http://127.0.0.1:9/x", git=cut)
    assert done.returncode != 0
    assert "early EOF" in done.stderr
    assert list(here.iterdir()) == []
    started(run_cell(here, "http://127.0.0.1:9/x", git=COPY.format(source=source)), here / "course")


def test_when_git_fails_the_archive_is_tried(here):
    with Host(f"/group/course/archive/{TAG}.zip") as host:
        started(run_cell(here, host.address, git="exit 1"), here / "course")
        host.shutdown()


@pytest.mark.parametrize("git", [None, "real"])
def test_a_network_that_never_answers_is_given_up(here, git):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run_cell(here, f"http://127.0.0.1:{silent.getsockname()[1]}/x", git=git)
    assert "Is the network on?" in done.stderr
    assert "timed out" in done.stderr
    assert "Fetching the course from http://127.0.0.1" in done.stdout


def test_what_helps_is_said(here):
    done = run_cell(here, "http://127.0.0.1:9/x")
    message = done.stderr[done.stderr.index("RuntimeError: The course's files") :]
    for words in (
        "git: it is not installed here",
        "HTTPS_PROXY",
        "COURSE_TOKEN",
        "as a zip file",
        "Then run this cell again",
    ):
        assert words in message
    assert f"({TAG})" in message


def test_a_private_repository_takes_a_token_which_is_shown_nowhere(here):
    with Host(f"/group/course/-/archive/{TAG}/course-{TAG}.zip", token="s3cret") as host:
        refused = run_cell(here, host.address)
        started(run_cell(here, host.address, COURSE_TOKEN="s3cret"), here / "course")
        wrong = run_cell(here.parent, host.address, COURSE_TOKEN="wr0ng")
        host.shutdown()
    assert "Is the repository private?" in refused.stderr
    assert "404" in wrong.stderr
    assert "wr0ng" not in wrong.stderr + wrong.stdout


def test_git_is_given_the_token_but_does_not_keep_it(here, tmp_path):
    source = course_at(tmp_path / "source")
    login = base64.b64encode(b"oauth2:s3cret").decode()
    git = f'[ "$GIT_CONFIG_VALUE_0" = "Authorization: Basic {login}" ] || exit 128\n' + COPY.format(source=source)
    started(run_cell(here, "http://127.0.0.1:9/x", git=git, COURSE_TOKEN="s3cret"), here / "course")


@pytest.mark.parametrize("prefix", ["", "course-9.9/", "a/b/"])
def test_an_uploaded_zip_file_is_taken(here, prefix):
    (here / "01_baseline-submission.zip").write_bytes(b"no zip file")
    (here / "course-9.9.zip").write_bytes(zipped(prefix))
    started(run_cell(here, "http://127.0.0.1:9/x"), here / "course")


def test_where_the_folder_cannot_be_written_to_the_course_comes_to_the_home(here, tmp_path):
    home = tmp_path / "home"
    for _ in range(2):  # the second run finds it there
        with Host(f"/group/course/archive/{TAG}.zip") as host:
            done = _in_proc(home, host)
            host.shutdown()
        started(done, home / "course")


def _in_proc(home: Path, host: Host) -> subprocess.CompletedProcess[str]:
    """Run the cell in a folder where nobody can write."""
    source = setup_cells(1, Course("A test", host.address, TAG))[1].source
    source += "\nprint(grader, '|', os.getcwd(), '|', course)"
    environment = {"PATH": "/nowhere", "HOME": str(home), "NO_PROXY": "*"}
    command = [sys.executable, "-I", "-S", "-c", source]
    return subprocess.run(command, cwd="/proc", env=environment, capture_output=True, text=True, timeout=60)


def test_a_proxy_is_used(here):
    with Host(f"http://git.example.edu/group/course/archive/{TAG}.zip") as proxy:
        address = f"http://127.0.0.1:{proxy.server_port}"
        done = run_cell(
            here, "http://git.example.edu/group/course", HTTP_PROXY=address, http_proxy=address, NO_PROXY=""
        )
        started(done, here / "course")
        proxy.shutdown()


def test_a_course_around_the_notebook_is_taken_as_it_is(here, tmp_path):
    course = course_at(tmp_path / "Mes données é")
    done = run_cell(here, "http://127.0.0.1:9/x")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"started part 1 | {here} | {course}"
