"""A run's figures while it goes: a line of JSON for each step, and the same for TensorBoard."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .runs import History, Record, write_whole

FILE = "metrics.jsonl"
BOARD = "tensorboard"  # the folder of TensorBoard's files


class Metrics:
    """Writes a history's records to `<folder>/metrics.jsonl` as they come; without a folder, nothing.

    A record is one line, a JSON object of numbers with its `step`; what is no finite number is `null`. Each line is on the
    disk before the next step begins. A run that goes on from a checkpoint first writes anew what it knows of, so that the
    file has one line a step however often the run was cut off, and no half one.

    Args:
        board: write the same for TensorBoard, to `<folder>/tensorboard`.

    Raises:
        ValueError: TensorBoard is wanted and there is no folder.
        ImportError: it is wanted and not installed.
    """

    def __init__(self, history: History, folder: Path | None, *, board: bool = False) -> None:
        if board and folder is None:
            raise ValueError(
                'TensorBoard needs a folder for its files: train(..., tensorboard=True, folder="runs/mine")'
            )
        self.history = history
        self.folder = folder
        self.make_board = _summary_writer() if board else None
        self.board: Any = None
        self.behind = True  # whether the file lacks records, and must be written as a whole
        self.told = False  # whether it was said that it does

    def begin(self) -> None:
        """Write the records that there are, in place of what another run has left in the folder."""
        self._write()
        if self.folder is not None and self.make_board is not None:
            shutil.rmtree(self.folder / BOARD, ignore_errors=True)
            self.board = self.make_board(str(self.folder / BOARD))
            self._show(self.history.records)

    def add(self) -> None:
        """Write the latest record."""
        self._write()
        if self.board is not None:
            self._show(self.history.records[-1:])

    def end(self) -> None:
        """Close TensorBoard's file."""
        if self.board is not None:
            self.board.close()

    def _write(self) -> None:
        """Write the latest record, or all where the file is behind; a disk that is full does not end the run."""
        if self.folder is None:
            return
        path = self.folder / FILE
        try:
            if self.behind:
                write_whole(path, "".join(map(_line, self.history.records)))
            else:
                with path.open("a", encoding="utf-8") as file:
                    file.write(_line(self.history.records[-1]))
            self.behind = False
        except OSError as error:
            if not self.told:
                say(f"{path} cannot be written to ({error.strerror}); it is caught up on when that is possible again.")
            self.behind = self.told = True

    def _show(self, records: list[Record]) -> None:
        """Hand records to TensorBoard, which sees them at once."""
        try:
            for record in records:
                for name, value in record.items():
                    if name != "step":
                        self.board.add_scalar(name, value, int(record["step"]))
            self.board.flush()
        except OSError as error:
            say(f"TensorBoard gets no more figures of this run: {error}")
            self.board = None


def say(text: str) -> None:
    """Print a sentence, if there is one, without breaking the progress bar."""
    if text:
        tqdm.write(text, file=sys.stdout)


def _line(record: Record) -> str:
    """A record as a line of JSON, which knows no NaN."""
    return json.dumps({name: value if math.isfinite(value) else None for name, value in record.items()}) + "\n"


def _summary_writer() -> Any:
    """PyTorch's class that writes TensorBoard's files.

    Raises:
        ImportError: the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            f"TensorBoard is not installed ({error}). Run  pip install tensorboard  and restart the kernel, or leave "
            f"tensorboard=True out: the same figures are in {FILE}."
        ) from error
    return SummaryWriter
