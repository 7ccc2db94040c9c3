"""One submission: the tests run out here, the student's code in the sandbox, with stand-ins between them."""
