"""The process that parses what students handed in: `python -m autograder.grade.intake.reader`, started by `apart.Reader`.

It takes requests on its standard input and answers on its standard output, a line of JSON each. It may use bounded memory,
and each request bounded processor time; what goes beyond ends this process, and the one student's file with it. Only the
standard library is imported, and PyYAML, nbformat and what renders Markdown where they are needed: it starts in a tenth of a
second.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autograder.grade.markdown import markdown_html
from autograder.grade.text import composed, folded, printable

from . import archives
from .notebook import UnreadableNotebookError
from .notebook import read as read_notebook

MEMORY = 1 << 30  # bytes on top of what the class's own archive takes
CLASS_MEMORY = 3 << 30  # bytes for the table of the class's archive
LARGEST_METADATA = 16 << 20  # bytes of a Gradescope export's list of people
DEEPEST_METADATA = 20
MOST_PEOPLE = 50_000
LARGEST_GROUP = 100

Answer = dict[str, Any]


class Session:
    """What the process keeps between requests: the course's questions, and the class's archive if there is one."""

    def __init__(self) -> None:
        self.course: dict[str, Any] = {}
        self.members: list[archives.Member] = []

    def set_course(self, course: dict[str, Any]) -> Answer:
        """Take the course's questions."""
        self.course = course
        return {}

    def open_class(self, path: str) -> Answer:
        """Open a class's archive: the files worth reading with their numbers, and how many others each folder holds.

        Raises:
            OverBudgetError: it holds more files than any class.
        """
        bound_memory(CLASS_MEMORY)
        file = Path(path).open("rb")  # noqa: SIM115 (members are read from it until the process ends)
        self.members = list(archives.members(file, path, archives.MOST_CLASS_ENTRIES))
        bound_memory(MEMORY)
        files, others = [], Counter[str]()
        for number, member in enumerate(self.members):
            if archives.is_hidden(member.path):
                continue
            path = member.path.rstrip("/")
            folder = path.rpartition("/")[0]
            if member.path.endswith("/"):
                others[path] += 0
                continue
            others[folder] += member.problem == archives.USELESS
            if member.problem != archives.USELESS or archives.is_told(path.split("/"), others[folder]):
                files.append([number, path, member.problem, member.time])
        return {"files": files, "others": others}

    def read_file(self, path: str, entries: int, size: int) -> Answer:
        """Read a student's file on disk."""
        file = Path(path)
        member = archives.Member(file.name, "", lambda: file.open("rb"))
        large = file.stat().st_size
        if large > archives.LARGEST and not archives.is_archive(path):
            most = archives.LARGEST >> 20
            raise ValueError(f"the file has {large >> 20} MB; {most} MB are allowed: clear the outputs")
        return self._read(member, archives.Budget(entries, size))

    def read_member(self, number: int, entries: int, size: int) -> Answer:
        """Read a student's file in the class's archive."""
        return self._read(self.members[number], archives.Budget(entries, size))

    def _read(self, member: archives.Member, budget: archives.Budget) -> Answer:
        start = budget.entries, budget.bytes
        if archives.is_archive(member.path):
            with member.open() as file:
                found = [self._parse(entry) for entry in archives.read(file, Path(member.path).name, budget)]
        else:
            found = [self._parse(archives.load(member, budget)) | {"path": ""}]
        return {"files": found, "entries": start[0] - budget.entries, "size": start[1] - budget.bytes}

    def _parse(self, entry: archives.Entry) -> Answer:
        notebook, problem = None, entry.problem
        if not problem:
            try:
                notebook = read_notebook(entry.data, self.course)
            except UnreadableNotebookError as error:
                problem = str(error)
            except (Exception, RecursionError) as error:
                problem = f"the file cannot be read ({archives.describe(error)})"
        digest = hashlib.sha256(entry.data).hexdigest()
        return {"path": entry.path, "digest": digest, "notebook": notebook, "problem": printable(problem)}

    def read_time(self, path: str, number: int) -> Answer:
        """Read the first line of a file in which nbgrader wrote a time."""
        return {"time": printable(self._bytes(path, number, 100).decode("utf-8", "replace")).strip().partition("\n")[0]}

    def _bytes(self, path: str, number: int, most: int) -> bytes:
        """The beginning of a file; `number` tells it in the class's archive, if it is in one."""
        with Path(path).open("rb") if number < 0 else self.members[number].open() as file:
            return file.read(most)

    def read_people(self, path: str, number: int) -> Answer:
        """Read Gradescope's list of who made which submission."""
        data = self._bytes(path, number, LARGEST_METADATA + 1)
        if len(data) > LARGEST_METADATA:
            raise ValueError("it is too large")
        return {"people": people_of(data)}

    def render(self, text: str) -> Answer:
        """Write a student's Markdown as HTML, pictures from the text itself included."""
        return {"html": markdown_html(text, pictures=True)}


def people_of(data: bytes) -> dict[str, dict[str, Any]]:
    """Who made which submission of a Gradescope export: folder → `members` (`student`, `name`, `email` of each) and `time`.

    Only plain texts are taken: no tags, no anchors and no aliases, which could make something large out of little.

    Raises:
        ValueError: it is no such list.
    """
    import yaml

    loader_class = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    depth = 0
    for token in yaml.scan(data, Loader=loader_class):
        kind = type(token).__name__
        depth += kind.endswith("StartToken") - kind.endswith("EndToken")
        if depth > DEEPEST_METADATA or kind in ("AnchorToken", "AliasToken", "TagToken"):
            raise ValueError("it has anchors, aliases or tags, or is nested deep")
    content = yaml.load(data, Loader=loader_class)
    if not isinstance(content, dict) or len(content) > MOST_PEOPLE:
        raise ValueError("it is no list of submissions")
    people = {}
    for folder, values in content.items():
        submitters = values.get(":submitters") if isinstance(values, dict) else None
        group = submitters if isinstance(submitters, list) and submitters else [{}]
        if len(group) > LARGEST_GROUP:
            raise ValueError(f"more than {LARGEST_GROUP} people share a submission")
        members = [_person(member, str(folder)) for member in group]
        made = values.get(":created_at", "") if isinstance(values, dict) else ""
        people[str(folder)] = {
            "members": list({folded(member["student"]): member for member in members}.values()),
            "time": printable(made)[:100] if isinstance(made, str) else "",
        }
    return people


def _person(submitter: Any, folder: str) -> dict[str, str]:
    """A submitter; who cannot be told goes by the folder's name."""
    texts = submitter.items() if isinstance(submitter, dict) else ()
    plain = {
        key.strip(":"): composed(value)[:200] for key, value in texts if isinstance(key, str) and isinstance(value, str)
    }
    student = plain.get("sid") or plain.get("email") or plain.get("name") or folder
    return {"student": student, "name": plain.get("name", ""), "email": plain.get("email", "")}


def bound_memory(size: int) -> None:
    """Let this process take `size` bytes more than it has, where the system can bound that."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = pages * resource.getpagesize() + size
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def bound_time(seconds: float) -> None:
    """End this process once it has used so much more processor time; 0 lifts the bound."""
    if hasattr(signal, "ITIMER_PROF"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def answer(operation: Callable[..., Answer], arguments: dict[str, Any]) -> Answer:
    """Do what is asked; what goes wrong becomes part of the answer."""
    try:
        return operation(**arguments)
    except archives.OverBudgetError as error:
        return {"over": str(error)}
    except (Exception, RecursionError) as error:
        return {"problem": archives.describe(error)}


def main() -> None:
    """Answer requests until there are no more."""
    session = Session()
    bound_memory(MEMORY)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        bound_time(request["seconds"])
        begun = time.process_time()
        result = answer(getattr(session, request["operation"]), request["arguments"])
        result["seconds"] = time.process_time() - begun
        bound_time(0)
        sys.stdout.buffer.write(json.dumps(result, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
