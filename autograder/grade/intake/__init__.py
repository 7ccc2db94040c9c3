"""Whose is this file, and what is in it: from what was handed in to code, answers and a name."""
