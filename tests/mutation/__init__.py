"""Mutation tests of the exercises' tests: small changes of right answers, judged by the tests and by an independent oracle."""
