"""What an error means that the Hugging Face hub, the disk or a repository's files gave, and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

TOKEN = (
    "make a token with the right to read (your picture > Access Tokens) and give it as the environment variable HF_TOKEN, "
    "in Colab as a secret of that name, before the notebook's first cell; never write it into the notebook"
)


def explain(error: BaseException, name: str, revision: str, page: str) -> str:
    """Return why a repository could not be had and what helps, in sentences; the first cause that is known decides.

    Args:
        error: what was raised; the errors that it came from are looked at too.
        name: the repository, `"owner/name"`.
        revision: the branch, tag or commit that was asked for.
        page: the repository's address.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"The disk is full. Files of the hub go to {HF_HUB_CACHE}: remove what you do not need there, or restart with "
                "the environment variable HF_HOME set to a folder on a larger disk."
            )
        if isinstance(cause, PermissionError) or (isinstance(cause, OSError) and cause.errno == errno.EROFS):
            return (
                f"The folder for files of the hub may not be written to ({HF_HUB_CACHE}). Restart with the environment "
                "variable HF_HOME set to a folder of yours."
            )
        if isinstance(cause, GatedRepoError):  # a kind of RepositoryNotFoundError
            return (
                f"The repository is gated: its owners ask you to accept their terms first. Log in, open {page} and accept "
                f"them; then {TOKEN}."
            )
        if isinstance(cause, RepositoryNotFoundError):
            return (
                f"The hub shows you no repository of this name: it is mistyped, renamed, deleted or private. Open {page}: if it "
                f"is renamed, the page has the new name; if it is private and yours, {TOKEN}."
            )
        if isinstance(cause, RevisionNotFoundError):
            return (
                f"The repository has no revision {revision!r}. Its commits stand under {page}/commits/main; without one, "
                f"{name!r} alone takes the newest."
            )
        if isinstance(cause, LocalEntryNotFoundError):
            return "The hub cannot be reached, and the files are not in the local cache. Check your connection."
        if isinstance(cause, HFValidationError):
            return 'This is no name of a repository: write "owner/name", or a folder\'s path.'
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(cause, HfHubHTTPError) and status in (401, 403):
            return f"The hub refuses your token ({status}): it is wrong, expired or not for this. Leave it out, or {TOKEN}."
        if isinstance(cause, HfHubHTTPError) and status == 429:
            return "The hub was asked too often from your network (429): wait some minutes, then run the cell again."
        if "trust_remote_code" in str(cause):
            return "It needs a program of its own from its repository, and the course runs no such program. Take another model."
    return f"{type(error).__name__}: {_first_line(error)}. Check your connection, and the repository's files at {page}."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the root first: libraries wrap an error in one that says less."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    yield from reversed(chain)


def _first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ") if lines else "no message"
