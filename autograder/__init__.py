"""The instructor's side of the course: build, run, check, grade and report. Students never get this package."""
