"""Where a student's code is run. Only the folder `inside` is visible to that code."""
