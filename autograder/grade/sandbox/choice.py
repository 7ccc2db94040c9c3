"""Which walls a student's code gets: the strongest that this machine allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autograder.grade.limits import Limits

from .bubblewrap import NoSandboxError, Sandbox
from .parent import WarmParent
from .unsandboxed import Unsandboxed

Walls = WarmParent | Unsandboxed


def open_sandbox(limits: Limits, *, trust: bool = False, private: Sequence[Path] | None = None) -> Walls:
    """Make a place for students' code.

    Args:
        limits: what a submission may use.
        trust: take none at all.
        private: what a student's code must not be able to read. Only where this is given are walls of users and file modes
            taken if no others can be had.

    Raises:
        NoSandboxError: there are no walls on this machine.
    """
    if trust:
        return Unsandboxed(limits)
    try:
        return Sandbox(limits)
    except NoSandboxError as error:
        if private is None:
            raise
        from .users import OtherUser  # it imports what only Linux has

        try:
            return OtherUser(limits, private)
        except NoSandboxError as second:
            raise NoSandboxError(f"{error} Nor by users: {second}") from second
