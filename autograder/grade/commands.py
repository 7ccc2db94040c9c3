"""Where ``autograder.cli`` looks for the grader's commands."""

from .cli import register

__all__ = ["register"]
