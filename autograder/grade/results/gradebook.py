"""Write results into nbgrader's gradebook, through nbgrader's own interface."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from helpers.parts import PARTS

from .exports import Pending, pending, waiting
from .rows import sheet
from .store import Store


def write_gradebook(store: Store, path: Path) -> str:
    """Put every graded submission into `gradebook.db`, question by question; say how many.

    A question that waits for a person has no score there and is marked as one to grade by hand; what lateness costs stands
    beside the score. With `--pending hold` nothing is written as long as anything waits.

    An assignment that nbgrader knows by the part's name keeps its own cells; ours stand in a notebook called
    `<part>-of-record`, so that nothing of nbgrader's is written over.
    """
    from nbgrader.api import Gradebook, MissingEntry

    programs = str(Path(sys.executable).parent)  # nbgrader looks for `alembic` on the path
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])

    everything = sheet(store)
    if pending(store) is Pending.HOLD and (held := len(waiting(everything))):
        return f"Nothing was written to {path}: {held} submissions have no mark yet (--pending hold)"
    rows = [row for row in everything if row.total is not None and row.part in PARTS and not row.submission.disputed]
    with Gradebook(f"sqlite:///{path.resolve()}") as book:
        for row in rows:
            title = PARTS[row.part]
            assignment = f"{title}-of-record"
            book.update_or_create_assignment(assignment)
            book.update_or_create_notebook(assignment, assignment)
            for question in row.questions:
                book.update_or_create_grade_cell(
                    question.name, assignment, assignment, max_score=question.possible, cell_type="code"
                )
            first, _, last = row.submission.name.rpartition(" ")
            book.update_or_create_student(
                row.student, first_name=first, last_name=last, email=row.submission.email or None
            )
            with contextlib.suppress(MissingEntry):
                book.remove_submission(assignment, row.student)
            book.add_submission(assignment, row.student)
            submitted = book.find_submission_notebook(assignment, assignment, row.student)
            for grade in submitted.grades:
                points = {q.name: q.points for q in row.questions}[grade.name]
                grade.auto_score = None
                grade.manual_score = points
                grade.needs_manual_grade = points is None
            if row.lateness is not None and row.total is not None and row.lateness.penalty is not None:
                submitted.late_submission_penalty = row.total * row.lateness.penalty
        book.db.commit()
    return f"{len(rows)} submissions written to {path}"
