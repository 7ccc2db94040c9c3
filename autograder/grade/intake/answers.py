"""The written answers in a notebook: where they stand, and what was typed."""

from __future__ import annotations

import re
from typing import Any

from autograder import masters
from autograder.grade.jobs import written_questions
from autograder.masters import Question
from helpers.parts import ANSWER_PLACEHOLDER

from .notebook import Notebook

LONGEST = 20_000  # characters


def answers(notebook: Notebook) -> dict[str, str]:
    """The answers to a notebook's written questions, by question; an empty text where nothing was written.

    An answer is the text after the question's heading (which names its number) up to the next heading of an exercise or
    question or the end of the prompt's own cells. Cells that the build marked with the question's name are taken first.
    """
    found: dict[str, str] = {}
    questions = written_questions(notebook.part)
    given = {_squeeze(chunk) for q in masters.load_questions(notebook.part) for chunk in q.prompt.split("\n\n")}
    for question in questions:
        marked = [cell["source"] for cell in notebook.markdown if _marked(cell, question.name)]
        texts = marked or _after_prompt(notebook, question)
        parts = [part for text in texts for part in text.split("\n\n") if _squeeze(part) not in given]
        kept = [part for part in parts if _squeeze(part) != _squeeze(ANSWER_PLACEHOLDER)]
        found[question.name] = "\n\n".join(kept).strip()[:LONGEST]
    return found


def _marked(cell: dict[str, Any], name: str) -> bool:
    """Whether the build named this cell as the question's answer (by its id, or for nbgrader by its `grade_id`)."""
    grader = cell["metadata"].get("nbgrader")
    names = [cell["id"], str(grader.get("grade_id", "")) if isinstance(grader, dict) else ""]
    return any(re.fullmatch(rf"{re.escape(name)}-answer(-\d+)?", found) for found in names)


def _squeeze(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _after_prompt(notebook: Notebook, question: Question) -> list[str]:
    """The text cells between the question's prompt and whatever comes after them."""
    start = _squeeze(question.prompt)[:60]
    cells = sorted([*notebook.markdown, *({**c, "code": True} for c in notebook.code)], key=lambda c: c["number"])
    for index, cell in enumerate(cells):
        if not cell.get("code") and start and start in _squeeze(cell["source"]):
            texts = [cell["source"]]
            for later in cells[index + 1 :]:
                if later.get("code") or re.match(r"\s*(#|\*\*(Exercise|Question|Written))", later["source"]):
                    break
                texts.append(later["source"])
            return texts
    return []
