"""The sandbox and the judge that the tests of the grader use."""

from tests.grade.conftest import grade, sandbox

__all__ = ["grade", "sandbox"]
