"""What the commands share: options, consoles, clear errors, exit codes, results for programs."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from autograder.grade.commands import console, errors
from helpers.parts import PARTS

__all__ = ["console", "errors"]

Parts = Annotated[
    list[int] | None,
    typer.Option("--part", "-p", help="A part's number; give it again for more parts.", min=min(PARTS), max=max(PARTS)),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for a program to read.")]
Fast = Annotated[bool, typer.Option("--fast", help="Small sizes: shows that it runs, not what it learns.")]
Preset = Annotated[str, typer.Option(help="The preset that `auto` stands for: tiny, smollm2, gpt2, or auto.")]
Force = Annotated[bool, typer.Option("--force", help="Do it again even if nothing changed.")]

SPELLED = {
    "✓": "+",
    "✗": "x",
    "•": "*",
    "…": "...",
    "→": "->",
    "–": "-",
    "·": "-",
    "α": "alpha",
    "β": "beta",
    "π": "pi",
}
WRONG, MISUSE = 1, 2  # exit codes: something is not as it should be; the call itself was wrong


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the errors that a user can do something about into one clear message and exit code 1."""
    from autograder.publish.otter_forms import BuildError
    from autograder.publish.release import ReleaseError

    from .masters import MasterError

    try:
        yield
    except (BuildError, MasterError, ReleaseError, OSError, ValueError) as error:
        errors.print("[bold red]Error:[/] ", end="")
        errors.print(str(error), highlight=False, markup=False)
        raise typer.Exit(WRONG) from error


def progress_bar() -> Progress:
    """A bar with a description, a count and the time; nothing but plain lines where there is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=errors, transient=True)


def chosen(parts: list[int] | None) -> list[int]:
    """The parts asked for; all that exist if none were."""
    from .masters import existing_parts

    exist = existing_parts()
    missing = [part for part in parts or [] if part not in exist]
    if missing:
        errors.print(f"[bold red]Error:[/] there is no master of part {', '.join(map(str, missing))} in solutions/")
        raise typer.Exit(MISUSE)
    return sorted(set(parts)) if parts else exist


def show_json(value: Any) -> None:
    """Print a result for a program; with escapes where the stream cannot hold every letter."""
    plain = "utf" not in (getattr(sys.stdout, "encoding", None) or "").lower()
    typer.echo(json.dumps(value, indent=1, ensure_ascii=plain, default=str))


def spell(error: UnicodeError) -> tuple[str, int]:
    """What stands for a sign that a stream cannot hold: Windows' files and old terminals have no ✓."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SPELLED.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def write_anywhere() -> None:
    """Let no output end in an error because a stream's encoding lacks a sign."""
    codecs.register_error("spell", spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spell")
