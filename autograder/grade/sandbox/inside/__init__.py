"""The only part of the grader that is visible inside the sandbox. Nothing here knows a test or a solution.

The package imports nothing of `autograder`, because the sandbox holds these files alone.
"""
