"""The grader of record: student code runs in a sandbox, the tests run outside it. Start with `commands`."""
