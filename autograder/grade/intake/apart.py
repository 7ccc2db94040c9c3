"""Have what students handed in parsed in a process of its own, which a bad file may take with it; see `reader`."""

from __future__ import annotations

import contextlib
import functools
import html
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from autograder import masters
from helpers.parts import PARTS, ROOT

from .answers import paragraphs, squeeze

SECONDS = 20.0  # processor time for one request
CLASS_SECONDS = 600.0  # for the table of a class's archive
RENDER_SECONDS = 2.0  # for one answer as a page
WALL = 6.0  # times that on the clock, as the machine may be busy
LARGEST_ANSWER = 64 << 20  # bytes
LARGEST_TABLE = 512 << 20  # bytes


class ReadingError(Exception):
    """A file could not be read; the message says why. The reader goes on with the next."""


class Reader:
    """A reader's process, started when it is needed and again after a file has ended it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.archive: Path | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()  # type: ignore[union-attr]

    def open_class(self, path: Path) -> dict[str, Any]:
        """Open a class's archive, of which members can then be read.

        Returns:
            `files`, a list of number, path and problem; `others`, by folder the number of files that are no use.

        Raises:
            ReadingError: it cannot be read at all.
        """
        self.archive = path
        self._start()
        return self._ask("open_class", CLASS_SECONDS, LARGEST_TABLE, path=str(path.resolve()))

    def ask(self, operation: str, seconds: float = SECONDS, **arguments: Any) -> dict[str, Any]:
        """Have something parsed; see `reader.Session` for the operations.

        Raises:
            ReadingError: the reader refused, crashed, or took too much time or memory.
        """
        if self.process is None:
            self._start()
            if self.archive is not None:
                self._ask("open_class", CLASS_SECONDS, LARGEST_TABLE, path=str(self.archive.resolve()))
        return self._ask(operation, seconds, LARGEST_ANSWER, **arguments)

    def _start(self) -> None:
        self.close()
        line = [sys.executable, "-m", "autograder.grade.intake.reader"]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(line, cwd=ROOT, **streams)  # type: ignore[call-overload]
        self._ask("set_course", SECONDS, LARGEST_ANSWER, course=course())

    def _ask(self, operation: str, seconds: float, largest: int, **arguments: Any) -> dict[str, Any]:
        assert self.process is not None
        request = {"operation": operation, "seconds": max(seconds, 0.1), "arguments": arguments}
        clock = threading.Timer(WALL * seconds, self.process.kill)
        clock.start()
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
            line = self.process.stdout.readline(largest)  # type: ignore[union-attr]
        except OSError:
            line = b""
        finally:
            clock.cancel()
        if not line.endswith(b"\n"):
            raise ReadingError(self._bury(bool(line)))
        answer = json.loads(line)
        answer["length"] = len(line)
        if "problem" in answer:
            raise ReadingError(answer["problem"])
        return answer

    def _bury(self, spoke: bool) -> str:
        """Why the process has ended."""
        process = self.process
        assert process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0 if spoke else 5)
        status = process.returncode
        self.close()
        if spoke:
            return "what it holds is too large to be taken in"
        if status in (-getattr(signal, "SIGPROF", 0), -getattr(signal, "SIGKILL", 0)):
            return "reading it took too much time"
        return "reading it crashed the reader"


@functools.cache
def course() -> dict[str, Any]:
    """What the reader must know of each part: its functions, its written questions, and every paragraph of the course's own."""
    content = {}
    for part in masters.existing_parts():
        questions = masters.load_questions(part)
        cells = masters.read_cells(masters.master_path(part))
        texts = [cell.source for cell in cells if cell.kind == "markdown" and cell.role != "answer"]
        code, asked = [], {}  # a question's text as it was handed out: the build writes the points behind its title
        built = ROOT / "notebooks" / f"{PARTS[part]}.ipynb"
        if built.exists():
            found = json.loads(built.read_text(encoding="utf-8"))["cells"]
            texts += ["".join(cell["source"]) for cell in found if cell["cell_type"] == "markdown"]
            code = ["".join(cell["source"]).strip() for cell in found if cell["cell_type"] == "code"]
            asked = {cell["id"]: "".join(cell["source"]) for cell in found}
        given = {squeeze(paragraph) for text in texts for paragraph in paragraphs(text)}
        content[str(part)] = {
            "functions": [q.function for q in questions if q.function],
            "written": {q.name: asked.get(f"{q.name}-text", q.prompt) for q in questions if q.manual},
            "given": sorted(given),
            "code": code,
        }
    return content


@functools.cache
def _shared() -> Reader:
    return Reader()


def to_html(text: str) -> str:
    """A student's Markdown as HTML, made in the reader; plain text where that fails."""
    try:
        return _shared().ask("render", RENDER_SECONDS, text=text)["html"]
    except ReadingError:
        return f"<pre>{html.escape(text)}</pre>"
