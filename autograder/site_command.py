"""The command `course site`; apart from `publish`, whose imports the other commands need not wait for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autograder.grade.commands import console, errors


def register(app: typer.Typer) -> None:
    """Add the command to `course`."""
    app.command()(site)


def site(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to write; build/site or build/site-solutions by default.")
    ] = None,
    solutions: Annotated[
        bool, typer.Option("--solutions", help="The instructor's site: solutions, and all that they print.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, for a program to read.")] = False,
) -> None:
    """Write the notebooks and the docs as a web site that needs no server and no network.

    Every part as students get it, with the figures of the last `course run`; glossary, notation, bibliography, guides, and a page
    for each command. Nothing is executed. Exit code 1 if a link or a formula is broken.
    """
    from autograder.publish.site.staging import SiteError, build_site

    try:
        made = build_site(folder, solutions=solutions)
    except (SiteError, FileNotFoundError, ValueError) as error:
        errors.print("[bold red]Error:[/] ", end="")
        errors.print(str(error), highlight=False, markup=False)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(asdict(made), indent=1, ensure_ascii=False, default=str))
    else:
        console.print(f"Open {made.folder / 'index.html'}", highlight=False, soft_wrap=True)
        for number in made.without_figures:
            errors.print(f"[yellow]Note:[/] part {number} has no figures: `course run --part {number}` makes them.")
        for line in made.warnings:
            errors.print(line, markup=False, highlight=False)
    if made.warnings:
        raise typer.Exit(1)
