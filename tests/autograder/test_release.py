"""`course release`: what students get, and that nothing that anybody else put into the folder is ever lost."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import torch
from typer.testing import CliRunner

from autograder import cli, masters
from autograder.publish import cache, catch_up, placing, ready, release, settings
from autograder.publish.settings import Course, load_course
from autograder.publish.student_pages import parts_in_readme
from helpers.notebook.carry import load_functions
from helpers.parts import PARTS, ROOT

FIRST = Course("A course", "https://github.com/x/y", "v1")
SECOND = Course("A course", "https://github.com/x/y", "v2")
runner = CliRunner()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a release filled; copy it."""
    folder = tmp_path_factory.mktemp("release") / "students"
    release.write_release(folder, course=FIRST, catch_up=[2])
    return folder


@pytest.fixture
def students(filled: Path, tmp_path: Path) -> Path:
    """A student repository as an earlier release left it."""
    return Path(shutil.copytree(filled, tmp_path / "students"))


def test_a_release_holds_what_a_student_needs_and_nothing_else(filled: Path) -> None:
    files = {path.relative_to(filled).as_posix() for path in filled.rglob("*") if path.is_file()}
    plain = {"README.md", ".gitignore", ".course-release", "LICENSE", "LICENSE-PROSE"}
    installing = {"constraints.txt", "requirements.txt", "requirements-colab.txt", ".binder", ".devcontainer"}
    assert {f.split("/")[0] for f in files} <= plain | installing | {"docs", "helpers", "notebooks"}
    assert {"helpers/notebook/submission.py", "notebooks/tests/hidden.json", "docs/part1.png"} <= files
    assert not [f for f in files if "autograder" in f or "assets/recipes" in f or "solution" in f]
    assert json.loads((filled / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))["image"]
    assert {"checkpoints/", "build/", "runs/"} <= set((filled / ".gitignore").read_text(encoding="utf-8").split())


def test_paths_are_short_enough_for_windows(filled: Path) -> None:
    """Windows' limit is 260 signs, folders above included: a course in Downloads must unpack, and its names must be allowed."""
    names = [path.relative_to(filled).as_posix() for path in filled.rglob("*")]
    assert max(map(len, names)) < 100
    assert len({name.lower() for name in names}) == len(names)
    assert not [
        name for name in names if re.search(r'[<>:"|?*\\]|[. ](/|$)|(^|/)(con|prn|aux|nul)(\.|/|$)', name, re.I)
    ]


# --------------------------------------------------------------------------------------- what others put there


def test_what_others_put_into_the_folder_stays(students: Path) -> None:
    """A syllabus, slides, submissions, a module beside the helpers: a release knows what it wrote, and touches only that."""
    own = [
        "syllabus.md",
        "slides/one.md",
        "01_baseline-submission.zip",
        ".devcontainer/post.sh",
        "helpers/mine.py",
        "notebooks/mine.ipynb",
    ]
    for name in own:
        (students / name).parent.mkdir(exist_ok=True)
        (students / name).write_text("mine", encoding="utf-8")
    release.write_release(students, course=SECOND)
    assert {(students / name).read_text(encoding="utf-8") for name in own} == {"mine"}
    assert not (students / "notebooks" / "02_reinforce_catch_up.ipynb").exists(), "what is no longer part of it goes"
    assert "/v2/" in (students / "README.md").read_text(encoding="utf-8")


def test_a_changed_file_is_refused_and_with_force_kept_beside(students: Path) -> None:
    readme, catch = students / "README.md", students / "notebooks" / "02_reinforce_catch_up.ipynb"
    readme.write_text("our own words", encoding="utf-8")
    catch.write_text("our own functions", encoding="utf-8")
    before = {path: path.read_bytes() for path in students.rglob("*") if path.is_file()}
    with pytest.raises(release.ReleaseError, match=r"not as the last release left them.*README\.md.*--force"):
        release.write_release(students, course=SECOND)
    assert before == {path: path.read_bytes() for path in students.rglob("*") if path.is_file()}
    done = release.release_to(students, course=SECOND, force=True)
    assert done.aside == students / "before-release"
    assert (done.aside / "README.md").read_text(encoding="utf-8") == "our own words"
    assert "/v2/" in readme.read_text(encoding="utf-8")
    assert done.left == ["notebooks/02_reinforce_catch_up.ipynb"]
    assert catch.read_text(encoding="utf-8") == "our own functions", "changed, so it is not deleted either"
    readme.write_text("again", encoding="utf-8")
    assert release.release_to(students, course=SECOND, force=True).aside == students / "before-release-2"


def test_windows_line_ends_are_no_change(students: Path) -> None:
    """git on Windows writes other line ends on a checkout: that is nobody's edit."""
    readme = students / "README.md"
    readme.write_bytes(readme.read_bytes().replace(b"\n", b"\r\n"))
    release.write_release(students, course=SECOND)
    assert "/v2/" in readme.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "mark", ["Written by `course release`. Tag: v1\n", "<<<<<<< ours\n{}\n", '{"files": ["README.md"]}']
)
def test_a_mark_that_lists_no_files_is_treated_with_care(students: Path, mark: str) -> None:
    """An earlier version listed nothing, and a mark may be damaged: then nobody knows whose a file is, and none is touched."""
    (students / placing.MARK).write_text(mark, encoding="utf-8")
    (students / "syllabus.md").write_text("mine", encoding="utf-8")
    with pytest.raises(release.ReleaseError, match=r"does not say what an earlier release wrote.*README\.md"):
        release.write_release(students, course=SECOND)
    release.write_release(students, course=FIRST, catch_up=[2])  # the same again replaces nothing, and makes the list
    assert "README.md" in placing.read_mark(students)
    assert (students / "syllabus.md").exists()


def test_a_mark_cannot_point_outside(students: Path, tmp_path: Path) -> None:
    """A mark lies in a repository that others push to: a path that leads out of it, or into .git, is not followed."""
    outside, inside = tmp_path / "thesis.md", students / ".git" / "config"
    inside.parent.mkdir()
    for file in (outside, inside):
        file.write_text("mine", encoding="utf-8")
    mark = json.loads((students / placing.MARK).read_text(encoding="utf-8"))
    mark["files"] |= {name: placing.digest(outside) for name in ("../thesis.md", str(outside), ".git/config")}
    (students / placing.MARK).write_text(json.dumps(mark), encoding="utf-8")
    release.write_release(students, course=SECOND, force=True)
    assert outside.exists()
    assert inside.exists()


def test_a_link_or_a_folder_in_the_way_is_not_written_through(students: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(students / "notebooks", elsewhere)
    (students / "notebooks").symlink_to(elsewhere)
    (students / "LICENSE").unlink()
    (students / "LICENSE").mkdir()
    before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    with pytest.raises(release.ReleaseError, match=r"notebooks"):
        release.write_release(students, course=SECOND)
    release.write_release(students, course=SECOND, force=True)
    assert before == {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    assert not (students / "notebooks").is_symlink()
    assert (students / "LICENSE").is_file()


def test_a_release_never_overwrites_other_work(tmp_path: Path, root: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(release.ReleaseError, match="not empty"):
        release.write_release(tmp_path)
    for folder in (root, root / "docs" / "students", root.parent):
        with pytest.raises(release.ReleaseError, match="instructor's own"):
            release.write_release(folder)
    (tmp_path / "clone" / "autograder").mkdir(parents=True)
    (tmp_path / "clone" / "autograder" / "masters.py").write_text("")
    with pytest.raises(release.ReleaseError, match="instructor's own"):
        release.write_release(tmp_path / "clone", force=True)
    with pytest.raises(release.ReleaseError, match="is a file"):
        release.write_release(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_the_next_release_of_the_same_writes_nothing(students: Path) -> None:
    done = release.release_to(students, course=FIRST, catch_up=[2])
    assert (done.written, done.removed, done.left, done.aside) == ([], [], [], None)


# ------------------------------------------------------------------------------------------------ what is ready


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `course.toml` with a real address, and notebooks that are taken for built from it."""
    file = tmp_path / "course.toml"
    text = (ROOT / "course.toml").read_text(encoding="utf-8")
    file.write_text(re.sub(r'url = ".*"', 'url = "https://github.com/x/y"', text), encoding="utf-8")
    monkeypatch.setattr(settings, "COURSE", file)
    monkeypatch.setattr(cache, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(ready, "pinned_elsewhere", lambda course, parts: [])
    monkeypatch.setattr(ready, "check_committed", lambda parts: [])
    return file


def test_what_is_out_of_step_is_not_released(settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command compares first, and remembers what it has compared."""
    asked: list[list[int]] = []
    monkeypatch.setattr(
        ready, "check_committed", lambda parts: asked.append(parts) or ["notebooks/03_kl.ipynb: differs"]
    )
    target = tmp_path / "students"
    result = runner.invoke(cli.app, ["release", str(target)])
    assert result.exit_code == 1
    assert "03_kl.ipynb: differs" in result.output
    assert "course build" in result.output
    assert not target.exists()
    monkeypatch.setattr(ready, "check_committed", lambda parts: asked.append(parts) or [])
    assert runner.invoke(cli.app, ["release", str(target)]).exit_code == 0
    assert runner.invoke(cli.app, ["release", str(target)]).exit_code == 0
    assert asked == [list(PARTS)] * 2, "what was compared and not touched since is not compared again"


def test_notebooks_pinned_to_another_tag_are_not_released(tmp_path: Path) -> None:
    """Who changes course.toml and forgets `course build` would hand out notebooks that fetch the old helpers for ever."""
    assert ready.pinned_elsewhere(load_course(), list(PARTS)) == []
    other = Course(load_course().name, load_course().repository, "v99")
    assert ready.pinned_elsewhere(other, list(PARTS)) == list(PARTS)
    real = Course("A", "https://github.com/x/y", "v1")
    with pytest.raises(
        release.ReleaseError, match=r"part 1, 2, 3, 4, 5 fetch the course from another place.*course build"
    ):
        ready.check_ready(real, list(PARTS))


@pytest.mark.parametrize(
    "url",
    ["https://github.com/YOUR-ORGANISATION/YOUR-STUDENT-REPOSITORY", "https://github.com/your-organisation/x.git"],
)
def test_the_placeholder_is_not_released(settled: Path, tmp_path: Path, url: str) -> None:
    settled.write_text(settled.read_text(encoding="utf-8").replace("https://github.com/x/y", url), encoding="utf-8")
    result = runner.invoke(cli.app, ["release", str(tmp_path / "students")])
    assert result.exit_code == 1
    assert "placeholder" in result.output
    assert "student_repository.url" in result.output
    assert not (tmp_path / "students").exists()


def test_a_tag_that_is_there_already_is_told(settled: Path, students: Path) -> None:
    def git(*words: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(students), *names, *words], check=True, capture_output=True)

    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    git("tag", "v0.1.0")
    result = runner.invoke(cli.app, ["release", str(students)])
    assert result.exit_code == 0
    assert "has the tag v0.1.0 already" in result.output
    assert "has the tag" not in runner.invoke(cli.app, ["release", str(students)]).output, "nothing was written"


# -------------------------------------------------------------------------------------------------- the README


def test_the_readme_says_times_points_and_how_to_install_everywhere(filled: Path) -> None:
    readme = (filled / "README.md").read_text(encoding="utf-8")
    what, time = parts_in_readme((ROOT / "README.md").read_text(encoding="utf-8"))[2]
    (row,) = [line for line in readme.splitlines() if "02_reinforce.ipynb)" in line and line.startswith("|")]
    assert what in row
    assert f"| {time} |" in row
    assert time[0].isdigit()
    assert re.search(r"\| [\d.]+ \+ [\d.]+ \|", row)
    for text in (
        r".venv\Scripts\activate",
        "py -m venv",
        "whl/cpu",
        "Intel processor",
        "uv pip install",
        "](docs/part1.png)",
    ):
        assert text in readme
    assert "$" not in readme, "a word of the template was not filled in"
    for target in re.findall(r"\]\((?!https://)([^)]+)\)", readme):
        assert (filled / target).exists(), target


# ------------------------------------------------------------------------------------------- parts that are over


def test_a_release_hands_out_the_functions_of_a_part_that_is_over(tmp_path, monkeypatch):
    target = tmp_path / "students"
    files = {str(f) for f in release.write_release(target, catch_up=[2])}
    assert [f for f in files if "catch_up" in f] == ["notebooks/02_reinforce_catch_up.ipynb"]
    assert "`02_reinforce_catch_up.ipynb`" in (target / "README.md").read_text()
    monkeypatch.chdir(target / "notebooks")
    names = [q.function for q in masters.load_questions(2) if q.function]
    functions = load_functions("02_reinforce", names, tests=False)
    logits = torch.zeros(1, 3, 4)
    assert torch.allclose(
        functions.token_log_probs(logits, torch.zeros(1, 3, dtype=torch.int64)).exp(), torch.tensor(0.25)
    )
    release.write_release(target)
    assert not list((target / "notebooks").glob("*catch_up*"))


@pytest.mark.parametrize("part", masters.existing_parts())
def test_the_functions_handed_out_are_the_solution_and_no_more(part):
    text = "\n".join(c.source for c in catch_up.catch_up_notebook(part).cells if c.cell_type == "code")
    questions = [q for q in masters.load_questions(part) if q.function]
    space: dict = {}
    exec(text, space)
    assert all(callable(space[q.function]) for q in questions)
    assert "load_policy(preset" not in text
    assert not [q.name for q in masters.load_questions(part) if q.manual and q.sample_answer[:60] in text]


def test_no_function_is_handed_out_before_the_deadline(tmp_path, monkeypatch):
    deadlines = {"2": {"due": "2999-01-01T12:00:00+00:00"}, "1": {"due": "2001-01-01T12:00:00+00:00"}}
    monkeypatch.setattr(catch_up, "load_deadlines", lambda: deadlines)
    with pytest.raises(release.ReleaseError, match="Part 2 may be handed in until 2999-01-01 12:00"):
        release.write_release(tmp_path / "students", catch_up=[1, 2])
    assert not (tmp_path / "students").exists()
    monkeypatch.setattr(catch_up, "load_deadlines", dict)
    assert catch_up.still_open([1, 2]) == {}


def test_solutions_go_out_after_the_deadline_only(settled: Path, students: Path) -> None:
    """`--solutions` writes a part's solution notebook, and refuses while the part may still be handed in."""
    due = "\n[deadlines.{}]\ndue = {}-01-01T12:00:00Z\n"
    text = settled.read_text(encoding="utf-8")
    settled.write_text(text + due.format(2, 2001) + due.format(3, 2999), encoding="utf-8")
    result = runner.invoke(cli.app, ["release", str(students), "--solutions", "3"])
    assert result.exit_code == 1
    assert "Part 3 may be handed in until 2999-01-01" in result.output
    assert not (students / "solutions").exists()
    assert runner.invoke(cli.app, ["release", str(students), "--solutions", "2"]).exit_code == 0
    assert [path.name for path in (students / "solutions").iterdir()] == ["02_reinforce.ipynb"]
    assert "solutions/02_reinforce.ipynb" in (students / "README.md").read_text(encoding="utf-8")
    given = nbformat.read(students / "solutions" / "02_reinforce.ipynb", as_version=4)
    hidden = {test.name for question in masters.load_questions(2) for test in question.tests if test.hidden}
    assert not [name for name in hidden if any(name in cell.source for cell in given.cells)]
    assert runner.invoke(cli.app, ["release", str(students)]).exit_code == 0
    assert not (students / "solutions").exists()
