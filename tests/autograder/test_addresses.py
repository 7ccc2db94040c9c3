"""The address and the tag of the student repository: as people write them, and what opens a notebook of such a host."""

from __future__ import annotations

import subprocess

import pytest

from autograder.publish import addresses
from autograder.publish.settings import Course
from autograder.publish.student_pages import student_readme
from helpers.parts import PARTS


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("https://github.com/x/y", "https://github.com/x/y"),
        ("https://github.com/x/y.git", "https://github.com/x/y"),
        ("https://github.com/x/y/", "https://github.com/x/y"),
        ("https://github.com/x/y.git/ ", "https://github.com/x/y"),
        ("https://www.GitHub.com/x/y", "https://github.com/x/y"),
        ("git@github.com:x/y.git", "https://github.com/x/y"),
        ("ssh://git@github.com/x/y.git", "https://github.com/x/y"),
        ("ssh://git@git.example.edu:2222/ai/course.git", "https://git.example.edu/ai/course.git"),
        ("https://gitlab.example.edu/ai/group/course.git", "https://gitlab.example.edu/ai/group/course.git"),
        ("https://git.example.edu:8443/~ai/course", "https://git.example.edu:8443/~ai/course"),
    ],
)
def test_an_address_is_read_as_people_write_it(written: str, clean: str) -> None:
    assert addresses.clean_address(written) == clean


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("github.com/x/y", "no https address"),
        ("http://github.com/x/y", "no https address"),
        ("https://github.com/x", "no repository"),
        ("https://github.com/x/y/tree/main", "a page of a repository"),
        ("https://gitlab.com/x/y/-/tree/main", "a page of a repository"),
        ("https://me:secret@github.com/x/y", "every student would get it"),
        ("https://github.com/x/y; rm -rf ~", "no https address"),
        ("https://github.com/x/../y", "no address of a repository"),
        ("../students", "no https address"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(written: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        addresses.clean_address(written)


@pytest.mark.parametrize(
    "tag", ["", "-f", "a b", "v1..2", "v1.lock", "v1/", ".v1", "a//b", "v1~2", "v:1", "main", "HEAD", "v1."]
)
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        addresses.clean_tag(tag)
    if tag not in ("main", "HEAD", "-f"):
        assert subprocess.run(["git", "check-ref-format", f"refs/tags/{tag}"], check=False).returncode != 0


@pytest.mark.parametrize("tag", ["v1", "v2026.1", "2026-autumn", "course/v1", "v1.0+fix_2"])
def test_a_tag_is_one_for_git_too(tag: str) -> None:
    assert addresses.clean_tag(tag) == tag
    assert subprocess.run(["git", "check-ref-format", f"refs/tags/{tag}"], check=False).returncode == 0


@pytest.mark.parametrize(
    ("repository", "there", "not_there"),
    [
        (
            "https://github.com/x/y.git",
            [
                "https://colab.research.google.com/github/x/y/blob/v1/notebooks/02_reinforce.ipynb",
                "https://kaggle.com/kernels/welcome?src=https://github.com/x/y/blob/v1/notebooks/02_reinforce.ipynb",
                "https://mybinder.org/v2/gh/x/y/v1?urlpath=lab/tree/notebooks/02_reinforce.ipynb",
                "https://codespaces.new/x/y",
            ],
            ["y.git/blob"],
        ),
        (
            "https://gitlab.com/a/b/c",
            [
                "https://mybinder.org/v2/gl/a%2Fb%2Fc/v1?urlpath=lab/tree/notebooks/02_reinforce.ipynb",
                "File > Upload notebook",
            ],
            ["colab.research.google.com", "kaggle.com/kernels", "codespaces"],
        ),
        (
            "https://git.example.edu/ai/course.git",
            [
                "git clone --branch v1 https://git.example.edu/ai/course.git course",
                "File > Upload notebook",
                "git.example.edu by a link",
            ],
            ["colab.research.google.com", "kaggle.com/kernels", "mybinder", "codespaces"],
        ),
    ],
)
def test_the_readme_offers_only_what_opens_its_host(repository: str, there: list[str], not_there: list[str]) -> None:
    readme = student_readme(Course("A course", repository, "v1"), list(PARTS))
    assert [text for text in there if text not in readme] == []
    assert [text for text in not_there if text in readme] == []
