"""The address of the student repository: what counts as one, and the links that open its notebooks elsewhere."""

from __future__ import annotations

import re
from urllib.parse import quote

HERE = "write the address that `git clone` takes without a password, such as https://github.com/ORGANISATION/REPOSITORY"
PLACEHOLDERS = ("your-organisation", "your-student-repository")
SSH = re.compile(r"(?:ssh://(?:[\w.-]+@)?([\w.-]+)(?::\d+)?/|[\w.-]+@([\w.-]+):)(.+)")
ADDRESS = re.compile(r"(https://)(?:([^/@]*)@)?([\w.-]+(?::\d+)?)/([\w./~%+-]+)", re.ASCII | re.IGNORECASE)
PAGES = {
    "tree",
    "blob",
    "-",
    "raw",
    "releases",
    "src",
    "commit",
    "commits",
}  # parts of a page's address, not of a repository's
BRANCHES = {"HEAD", "main", "master"}
TAG = re.compile(r"(?!.*(\.\.|//|/\.|\.lock(/|$)))[A-Za-z0-9_][\w./+-]*(?<![/.])", re.ASCII)

# What opens a notebook of a repository, by the host of the repository: a name, the image of its badge, the address.
COLAB = (
    "Colab",
    "https://colab.research.google.com/assets/colab-badge.svg",
    "https://colab.research.google.com/github/{path}/blob/{tag}/{notebook}",
)
KAGGLE = (
    "Kaggle",
    "https://kaggle.com/static/images/open-in-kaggle.svg",
    "https://kaggle.com/kernels/welcome?src=https://github.com/{path}/blob/{tag}/{notebook}",
)
BINDER = "https://mybinder.org/v2/{kind}/{tag}?urlpath=lab/tree/{notebook}"
BADGE = "https://mybinder.org/badge_logo.svg"
OPENS = {
    "github.com": (COLAB, KAGGLE, ("Binder", BADGE, BINDER.replace("{kind}", "gh/{path}"))),
    "gitlab.com": (("Binder", BADGE, BINDER.replace("{kind}", "gl/{quoted}")),),
}


def clean_address(text: str) -> str:
    """The address of a repository as the notebooks fetch it: https, without a slash at the end.

    An ssh address becomes the https one of the same repository, since students have no key. `file:///` is for trials.

    Raises:
        ValueError: it is no address of a repository, and what to write.
    """
    plain = text.strip().rstrip("/")
    if re.fullmatch(r"file:///[\w./~+-]+", plain):
        return plain
    if ssh := SSH.fullmatch(plain):
        plain = f"https://{ssh[1] or ssh[2]}/{ssh[3].lstrip('/')}"
    found = ADDRESS.fullmatch(plain)
    if not found:
        raise ValueError(f"{text!r} is no https address of a repository; {HERE}")
    _, user, host, path = found.groups()
    host = host.lower().removeprefix("www.")
    if user:
        raise ValueError(
            f"the address of {host} holds a user's name or a password, and every student would get it; {HERE}"
        )
    words = path.split("/")
    if "" in words or {".", ".."} & set(words):
        raise ValueError(f"{text!r} is no address of a repository; {HERE}")
    if len(words) < 2 and host in OPENS:
        raise ValueError(f"{text!r} names an owner and no repository; {HERE}")
    if PAGES & set(words[2:]) or (host == "github.com" and len(words) > 2):
        raise ValueError(f"{text!r} is a page of a repository, not the repository; {HERE}")
    return f"https://{host}/{path.removesuffix('.git') if host in OPENS else path}"


def clean_tag(text: str) -> str:
    """A tag's name, checked by git's rules.

    Raises:
        ValueError: git allows no such tag, or it is a branch's name.
    """
    if not TAG.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a tag; write one such as v2026.1")
    if text in BRANCHES:
        raise ValueError(f"{text!r} is a branch, which moves on under the students; write a tag such as v2026.1")
    return text


def is_placeholder(address: str) -> bool:
    """True while an address still has a name that `course.toml` came with."""
    return any(name in address.lower() for name in PLACEHOLDERS)


def host_of(address: str) -> str:
    """The host in a repository's address; empty for a local one."""
    found = ADDRESS.fullmatch(clean_address(address))
    return found[3] if found else ""


def launch_links(address: str, tag: str, notebook: str) -> list[tuple[str, str, str]]:
    """What can open a notebook of a repository: name, badge, link. Empty where no such service reads the host.

    Args:
        address: the repository's address.
        tag: the tag of the release.
        notebook: the notebook's path in it.
    """
    clean, host = clean_address(address), host_of(address)
    path = clean.partition(f"{host}/")[2]
    words = {"path": path, "quoted": quote(path, safe=""), "tag": quote(tag, safe=""), "notebook": quote(notebook)}
    return [(name, badge, link.format(**words)) for name, badge, link in OPENS.get(host, ())]
