"""Find submissions in whatever form they came: who handed in which part, and which file counts.

Known layouts: nbgrader's `submitted/<student>/<assignment>/`; one folder a student; one notebook a student; the archives that
Gradescope, Canvas and Moodle export; the course's own submission file (a zip with the notebook). The layout is told from the
outermost names, so a mixture is no trouble. All files are parsed in a process of their own, and what one student hands in is
bounded: too much or too bad, and that student is unreadable, nobody else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.grade.deadlines import Arrival
from autograder.grade.text import encodable, folded
from helpers.parts import PARTS

from .apart import SECONDS, Reader, ReadingError
from .archives import METADATA, MOST_BYTES, MOST_ENTRIES, USELESS, is_archive, stem
from .arrivals import arrival, exchange_times
from .listing import File, Listing, list_source
from .owners import EARLIER, Owner, class_folder, is_stray, is_titled, owners, part_in_name
from .roster import Directory, Person

UNIT_TEXT = 64 << 20  # bytes of code and answers that are kept of one student
UNIT_SECONDS = 30.0  # of the reader's processor time for all that one student handed in
DEATH = 10.0  # what ending the reader counts for
LARGEST_EARLIER = 5_000_000  # characters of another part's code that goes along with a submission
MANY = 5  # notebooks of one part under one name: perhaps a whole class in an archive of archives


@dataclass(frozen=True)
class Notebook:
    """A submitted notebook, reduced to what grading needs: its part, code cells, written answers, and what was odd.

    `unread` are the cells that a person has to look at (see `unread.find_unread`).
    """

    part: int
    code: tuple[dict[str, Any], ...]
    written: dict[str, str]
    notes: tuple[str, ...] = ()
    unread: tuple[dict[str, Any], ...] = ()


@dataclass
class HandIn:
    """One student's hand-in of one part: the notebook, or why there is none.

    Attributes:
        student: the id that results are kept under.
        part: 1 to 5, or 0 if it could not be told.
        file: the path it came under.
        digest: of the file.
        notebook: the notebook, if it could be read.
        problem: what is wrong, for the student and the instructor.
        notes: what was noticed and did no harm.
        name: the student's name, if known.
        email: the student's address, if known.
        modified: when the file was last written, if known.
        attempt: the platform's count, if it counts.
        beside: handed in beside another part, not to be graded.
        claimant: the outermost name it came under.
        owner: whose that name says it is.
        group: the ids of all who handed it in together; empty for one alone.
        versions: how many files there were of which this one counts.
        folders: in how many folders below the outermost name they lay, those that are called after a part left out.
        arrival: what is known of when it came.
        disputed: why it is not known whose it is; empty if it is known.
    """

    student: str
    part: int
    file: str
    digest: str = ""
    notebook: Notebook | None = None
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    name: str = ""
    email: str = ""
    modified: float = 0.0
    attempt: int = 0
    beside: bool = False
    claimant: str = ""
    owner: Owner = field(default_factory=lambda: Owner(""))
    group: tuple[str, ...] = ()
    versions: int = 1
    folders: int = 0
    arrival: Arrival = field(default_factory=Arrival)
    disputed: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What makes a submission the same as another: the student and the part."""
        return self.student, self.part


@dataclass
class Collection:
    """What was found.

    Attributes:
        submissions: one for each student and part.
        warnings: what the instructor has to look at: names claimed twice, lists that could not be used.
        aside: files that are nobody's.
    """

    submissions: list[HandIn]
    warnings: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)


@dataclass
class Allowance:
    """What may still be read of one student, and in `over` why nothing more is."""

    entries: int = MOST_ENTRIES
    size: int = MOST_BYTES
    seconds: float = UNIT_SECONDS
    length: int = UNIT_TEXT
    over: str = ""

    @property
    def problem(self) -> str:
        """Why nothing more is read; empty as long as something may be."""
        if self.entries < 0:
            return f"more than {MOST_ENTRIES:,} files were handed in"
        if self.length < 0:
            return f"its notebooks hold more than {UNIT_TEXT >> 20} MB of code"
        return "reading it took too much time" if self.seconds <= 0 else self.over


def collect(source: Path, roster: dict[str, Person] | None = None) -> list[HandIn]:
    """The submissions of `take`, without its warnings."""
    return take(source, roster).submissions


def take(source: Path, roster: dict[str, Person] | None = None) -> Collection:
    """Read all submissions under a folder, file or archive, one for each student and part.

    A notebook of an earlier part that came in the course's own submission file is marked as `beside`: it is there for
    the functions in it, and is graded only if it was handed in by itself as well.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: the class's archive cannot be read at all.
    """
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    directory = Directory(roster or {})
    warnings: list[str] = []
    with Reader() as reader:
        try:
            listing = list_source(source, reader)
        except ReadingError as error:
            raise ValueError(f"{source} cannot be read: {error}. Unpack it and give the folder.") from error
        archive = stem(source.name) if source.is_file() and is_archive(source.name) else ""
        shown = [file.path for file in listing.files if file.is_useful] or [f.path for f in listing.files]
        folder = class_folder(shown, archive, directory)
        listing = listing.below(folder)
        metadata = _people(listing, reader, warnings)
        name = folder[-1] if folder else archive
        times = exchange_times(listing, name or source.name, reader)
        units, aside = _units(listing, directory)
        found: list[HandIn] = []
        allowed: dict[str | tuple[str, ...], Allowance] = {}
        for outer, files in units.items():
            members = owners(outer, name, metadata, directory)
            one = next(iter(members.values())).platform or outer  # on a platform several files may be one person's
            read = _read_unit(files, listing, reader, allowed.setdefault(one, Allowance()))
            for whose in members.values():
                made = [_submission(whose, outer, path, file) for path, file in read]
                for submission in made:
                    which = submission.file, whose, submission.arrival.file_time
                    submission.arrival = arrival(*which, metadata, times)
                found += [_with_group(submission, members) for submission in _choose_each(made)]
    submissions = _settle(found, warnings)
    for submission in submissions:
        if submission.problem == USELESS:
            submission.problem = f"no notebook was handed in, only {submission.file}"
        if directory.people and submission.student not in directory.people:
            submission.notes.append("not on the roster")
    return Collection(sorted(submissions, key=lambda s: (s.student, s.part)), warnings, aside)


def earlier_files(submissions: Iterable[HandIn]) -> dict[str, dict[str, str]]:
    """For every student the code of all parts that were handed in, as notebooks by file name, to take functions from."""
    files: dict[str, dict[str, str]] = {}
    for submission in submissions:
        if submission.notebook is not None:
            cells = [{"cell_type": "code", "metadata": {}, "source": c["source"]} for c in submission.notebook.code]
            text = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
            if len(text) < LARGEST_EARLIER:
                files.setdefault(submission.student, {})[f"{PARTS[submission.part]}.ipynb"] = text
    return files


def _people(listing: Listing, reader: Reader, warnings: list[str]) -> dict[str, dict[str, Any]]:
    """Gradescope's own list of who made which submission, if this is its export."""
    for file in listing.files:
        if file.path == (METADATA,) and file.place is not None:
            path, number = (file.place, -1) if isinstance(file.place, str) else ("", file.place)
            try:
                return reader.ask("read_people", path=path, number=number)["people"]
            except ReadingError as error:
                warnings.append(f"{METADATA} was not used: {error}. Submissions go by their folders' names.")
    return {}


def _units(listing: Listing, directory: Directory) -> tuple[dict[tuple[str, ...], list[File]], list[str]]:
    """What was handed in by its outermost name, and what is nobody's.

    A folder's name is followed by an empty one. A folder with nothing in it is there as well.
    """
    units: dict[tuple[str, ...], list[File]] = {(path[0], ""): [] for path in listing.others}
    aside = []
    in_folders = len(units) > sum(len(file.path) == 1 and file.is_useful for file in listing.files)
    for file in listing.files:
        if len(file.path) == 1 and file.problem == USELESS and is_stray(file.path, in_folders, directory):
            aside.append(file.name)
        else:
            units.setdefault((file.path[0], "") if len(file.path) > 1 else file.path, []).append(file)
    for outer, files in units.items():
        if not files:
            files.append(File(outer, None, "the folder is empty"))
    in_order = sorted(units.items(), key=lambda unit: (_first_place(unit[1]), unit[0]))
    return dict(in_order), [name for name in aside if name != METADATA]


def _first_place(files: list[File]) -> int:
    """Where a class's archive has the first of some files: read from back to front, a tar.gz is unpacked anew for each."""
    return min((file.place for file in files if isinstance(file.place, int)), default=0)


def _read_unit(
    files: list[File], listing: Listing, reader: Reader, left: Allowance
) -> list[tuple[str, dict[str, Any]]]:
    """Read what came under one name: for each file found its path below that name's, and what the reader made of it.

    What that takes is counted off what is `left` for the student.
    """
    left.entries -= len(files) + listing.useless[files[0].path[0]]
    made: list[tuple[str, dict[str, Any]]] = []

    def plain(problem: str, file: File) -> tuple[str, dict[str, Any]]:
        return file.name.rstrip("/"), {
            "problem": problem,
            "notebook": None,
            "digest": "",
            "modified": file.modified,
            "time": file.time,
        }

    for file in files:
        if left.problem:
            return [plain(left.problem, files[0])]
        if file.place is None or file.problem:
            made.append(plain(file.problem, file))
            continue
        try:
            answer = _ask(reader, file, left)
        except ReadingError as error:
            made.append(plain(f"it cannot be read ({error})", file))
            continue
        if "over" in answer:
            left.over = answer["over"]
            return [plain(left.over, files[0])]
        left.entries -= answer["entries"]
        left.size -= answer["size"]
        left.length -= answer["length"]
        for found in answer["files"]:
            path = f"{file.name}/{found['path']}" if found["path"] else file.name
            made.append((path, found | {"modified": file.modified, "time": file.time}))
    return made


def _ask(reader: Reader, file: File, left: Allowance) -> dict[str, Any]:
    """Have a file read, and count what that took."""
    bounds = {"entries": left.entries, "size": left.size}
    seconds = min(SECONDS, left.seconds)
    try:
        if isinstance(file.place, str):
            answer = reader.ask("read_file", seconds, path=file.place, **bounds)
        else:
            answer = reader.ask("read_member", seconds, number=file.place, **bounds)
    except ReadingError:
        left.seconds -= DEATH if reader.process is None else 0.0
        raise
    left.seconds -= answer["seconds"]
    return answer


def _submission(whose: Owner, outer: tuple[str, ...], path: str, found: dict[str, Any]) -> HandIn:
    """A file as a submission of the one whose outermost name it came under."""
    made = HandIn(whose.student, 0, encodable(path), found["digest"], problem=found["problem"], name=whose.name)
    made.email, made.attempt, made.modified = whose.email, whose.attempt, found["modified"]
    made.claimant, made.owner, made.arrival = outer[0], whose, Arrival(file_time=found["time"])
    folders = path.split("/")[:-1]
    made.beside = EARLIER in folders[1:] or (folders[:1] == [EARLIER] and whose.student != EARLIER)
    if whose.late:
        made.notes.append("handed in late (Canvas)")
    if found["notebook"] is not None:
        content = found["notebook"]
        which = content["part"], tuple(content["code"]), content["written"]
        made.notebook = Notebook(*which, tuple(content["notes"]), tuple(content["unread"]))
        made.part = content["part"]
        made.notes += content["notes"]
    elif made.problem != USELESS:
        made.part = part_in_name(path)
    return made


def _with_group(submission: HandIn, members: dict[str, Owner]) -> HandIn:
    """Note who else handed it in."""
    others = [f"{m.name} ({m.student})" if m.name else m.student for m in members.values() if m != submission.owner]
    if others:
        submission.group = tuple(sorted(members))
        submission.notes.append(f"handed in with {' and '.join(others)}")
    return submission


def _choose_each(versions: list[HandIn]) -> list[HandIn]:
    """What counts of all that came under one name, by part; what could not be read is noted where there is better."""
    useful = [s for s in versions if s.problem != USELESS]
    best = [_choose(same) for same in _grouped(useful, lambda s: s.part).values()]
    readable = sorted((s for s in best if s.notebook is not None), key=lambda s: not s.beside)
    for lost in [s for s in best if not s.part and readable]:
        readable[-1].notes.append(f"{lost.file} could not be read: {lost.problem}")
    return [s for s in best if s.part or not readable] or versions[:1]


def _grouped(submissions: Iterable[HandIn], key: Any) -> dict[Any, list[HandIn]]:
    groups: dict[Any, list[HandIn]] = {}
    for submission in submissions:
        groups.setdefault(key(submission), []).append(submission)
    return groups


def _choose(versions: list[HandIn]) -> HandIn:
    """The version that counts: readable before unreadable, the latest attempt, the latest written, the last by name."""
    versions.sort(key=lambda s: (not s.beside, s.notebook is not None, s.attempt, s.modified, s.file))
    chosen = versions[-1]
    rivals = [s for s in versions[:-1] if not s.beside]
    chosen.versions = len(rivals) + 1
    inner = {name for s in (*rivals, chosen) for name in s.file.split("/")[1:-1][:1] if not is_titled(name)}
    chosen.folders = len(inner)
    if rivals:
        others = ", ".join(s.file for s in rivals[:5])
        chosen.notes.append(f"{len(rivals) + 1} files of this part; the latest, {chosen.file}, counts, not {others}")
    return chosen


def _settle(submissions: list[HandIn], warnings: list[str]) -> list[HandIn]:
    """Bring together what is one person's, and keep apart what only claims to be.

    A platform's own number is one person's however many files have it. Otherwise two outermost names that mean one person
    are two claims: neither replaces the other, and only one that is the very id may keep it.
    """
    settled: list[HandIn] = []
    for claims in _grouped(submissions, lambda s: folded(s.student)).values():
        platforms = {s.owner.platform for s in claims}
        if len(platforms) == 1 and None not in platforms:
            settled += _choose_each(claims)
            continue
        by_part = _grouped(claims, lambda s: s.part)
        for part, same in by_part.items():
            direct = [s for s in same if not s.beside] or same[-1:]
            rivals = claims if part == 0 else direct  # of which part it would have been is not known
            if len({s.claimant for s in rivals}) > 1:
                _keep_apart(direct, rivals, warnings)
            settled += direct
    for submission in settled:
        if submission.versions >= MANY or submission.folders > 1:
            warnings.append(
                f"{submission.claimant} holds {submission.versions} notebooks of one part, of which one counts. If it is a "
                f"whole class's archive, grade it by itself: course grade …/{submission.claimant}"
            )
    return settled


def _keep_apart(claims: list[HandIn], rivals: list[HandIn], warnings: list[str]) -> None:
    """Give claims to one identity names of their own, but for one that is more plainly the id than all others; and say so."""
    student = claims[0].owner.student
    weights = Counter({s.claimant: s.owner.weight for s in rivals})
    (first, most), (_, next_most) = weights.most_common(2)
    text = f"{' and '.join(sorted(weights))} both claim to be {student}'s: neither replaces the other; look at both"
    if text not in warnings:
        warnings.append(text)
    for submission in claims:
        submission.notes.append("another file was handed in under this name as well; your instructor has been told")
        if most == next_most or submission.claimant != first:
            submission.student = f"{student} [{submission.claimant}]"
            submission.disputed = f"{' and '.join(sorted(weights))} both claim to be {student}'s"
