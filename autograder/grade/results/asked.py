"""What a question asked, as the student saw it in the notebook: its label, its text, what was answered, the rubric."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from autograder import masters
from autograder.grade.intake.apart import to_html as students_html
from autograder.masters import label_of

from .pages import to_html
from .store import StoredSubmission


@dataclass(frozen=True)
class AskedQuestion:
    """A question for a student's page; all but the label is empty for one that has tests."""

    label: str
    prompt: str = ""
    answer: str = ""
    rubric: tuple[Markup, ...] = ()


def asked(submission: StoredSubmission) -> dict[str, AskedQuestion]:
    """The questions of a submission's part, by name, with what the student answered to the written ones."""
    result = {}
    for question in masters.load_questions(submission.part) if submission.part in masters.existing_parts() else ():
        if question.manual:
            answer = submission.written.get(question.name, "")
            shown = Markup(students_html(answer)) if answer.strip() else ""
            rubric = tuple(to_html(line) for line in question.rubric)
            result[question.name] = AskedQuestion(label_of(question), to_html(question.prompt), shown, rubric)
        else:
            result[question.name] = AskedQuestion(label_of(question))
    return result
