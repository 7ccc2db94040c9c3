"""When something was handed in: told from what the platform wrote, and from nothing that a student made."""

from __future__ import annotations

import contextlib
from typing import Any

from autograder.grade.deadlines import Arrival

from .apart import Reader, ReadingError
from .listing import Listing
from .owners import CANVAS, GRADESCOPE, Owner

TIMESTAMP = "timestamp.txt"  # nbgrader's exchange writes it into every folder that it takes in
TIMES = dict[tuple[str, str], str]  # by student's and assignment's folder


def exchange_times(listing: Listing, folder: str, reader: Reader) -> TIMES:
    """When things were handed in, as nbgrader's exchange wrote it into each student's folder of `submitted`.

    It writes over what a student put there. Where fewer than half of the folders have such a file, they are no exchange's, and
    what lies in them may be anybody's.
    """
    stamps = [f for f in listing.files if len(f.path) == 3 and f.path[2] == TIMESTAMP and f.place is not None]
    students = {file.path[0] for file in listing.files if len(file.path) > 1}
    if folder.lower() != "submitted" or 2 * len({file.path[0] for file in stamps}) < len(students):
        return {}
    times = {}
    for file in stamps:
        path, number = (file.place, -1) if isinstance(file.place, str) else ("", file.place)
        with contextlib.suppress(ReadingError):
            times[file.path[0], file.path[1]] = reader.ask("read_time", path=path, number=number)["time"]
    return times


def arrival(path: str, whose: Owner, file_time: str, metadata: dict[str, dict[str, Any]], times: TIMES) -> Arrival:
    """What is known of when a file came.

    The files in an archive of Canvas or Moodle have the time of the download, so it is not kept.

    Args:
        path: below the class's folder.
        whose: its owner.
        file_time: when it was last written.
        metadata: Gradescope's list, by folder.
        times: from nbgrader's exchange.
    """
    outer, *below = path.split("/")
    if below and (outer, below[0]) in times:
        return Arrival("nbgrader", times[outer, below[0]], file_time=file_time)
    if below and outer in metadata and GRADESCOPE.fullmatch(outer):
        return Arrival("gradescope", metadata[outer]["time"])
    if whose.platform is not None:
        return Arrival("canvas", late=whose.late) if CANVAS.fullmatch(outer) else Arrival("moodle")
    return Arrival(file_time=file_time)
