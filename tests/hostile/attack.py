"""Attacks on the grader, as submissions. Each says what it tries; none may gain a point.

Every attack defines `token_log_probs` (a wrong answer, unless the attack works) and does its work when the function is
called or when its cell is run. `{wrong}` stands for a wrong result of the right shape.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = "import builtins, ctypes, gc, inspect, io, json, os, signal, socket, struct, subprocess, sys, threading, time, types\nimport torch\n"
WRONG = "torch.zeros(ids.shape[0], ids.shape[1] - 1, dtype=logits.dtype)"


@dataclass(frozen=True)
class Attack:
    """One attack: its name, what it tries, and the cell's code.

    `kills` is whether it ends or blocks its own process, so that it costs time.
    """

    name: str
    tries: str
    code: str
    known: bool = False  # it gained points from a grader that judges in the student's process
    kills: bool = False

    @property
    def source(self) -> str:
        """The whole cell."""
        return HEAD + self.code.replace("{wrong}", WRONG)


def known(name: str, tries: str, code: str, **more: bool) -> Attack:
    """An attack that worked on other graders."""
    return Attack(name, tries, code, known=True, **more)
