"""`course print --sheet`: the formulas of `docs/formulas.md` and the functions' shapes, on one printed page."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path

from autograder import masters
from autograder.publish.page import markdown, page_html
from autograder.publish.settings import load_course
from helpers.parts import ROOT

FORMULAS = ROOT / "docs" / "formulas.md"
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.MULTILINE)
SECTION = re.compile(r"^## (\d+\.\d+) ", re.MULTILINE)
SHAPE = re.compile(r"\[[A-Z0-9p][^\]]*\]|\bscalar\b")
ARGUMENT = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n      .*)*)", re.MULTILINE)


def rows_of(text: str) -> dict[int, list[tuple[str, str]]]:
    """The rows of the page of formulas, by part: what it is about, and the formula."""
    pieces = re.split(r"^## Part (\d)$", text, flags=re.MULTILINE)[1:]
    return {int(part): ROW.findall(table)[2:] for part, table in zip(pieces[::2], pieces[1::2], strict=True)}


def shapes_of(question: masters.Question) -> str:
    """What a function takes and returns, as in `logits [B, V], k → [B, V]`; read from the docstring of its solution."""
    tree = ast.parse(question.solution)
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == question.function)
    text = ast.get_docstring(function) or ""
    takes, _, returns = text.partition("Returns:")
    shapes: dict[str, str] = {}
    for names, words in ARGUMENT.findall(takes):
        shape = SHAPE.search(words) if not words.startswith(("a function", "frozenset")) else None
        shapes |= dict.fromkeys(names.split(", "), f" {shape[0]}" if shape else "")
    arguments = ", ".join(argument.arg + shapes.get(argument.arg, "") for argument in function.args.args)
    results = SHAPE.findall(returns.split("Raises:")[0]) or ["number"]
    kind = "dict " if "dict" in returns else ""
    return f"{arguments} → {kind}{', '.join(results)}".replace("scalar", "number").replace("dict number", "dict")


def sections_of(part: int) -> dict[str, str]:
    """The number of the section in which each function is asked for."""
    section, found = "", {}
    functions = {question.name: question.function for question in masters.load_questions(part) if question.function}
    for cell in masters.read_cells(masters.master_path(part)):
        if cell.kind == "markdown":
            section = (SECTION.findall(cell.source) or [section])[-1]
        if cell.question in functions:
            found[str(functions[cell.question])] = section
    return found


def sheet_html(path: Path = FORMULAS) -> str:
    """The page with all formulas.

    Raises:
        ValueError: if the page of formulas names a function that no exercise asks for.
    """
    course = load_course().title
    body = [f"<h1>{html.escape(course)}: formulas and shapes</h1>", '<div class="sheet">']
    for part, rows in rows_of(path.read_text(encoding="utf-8")).items():
        questions = {f"`{question.function}`": question for question in masters.load_questions(part)}
        sections = sections_of(part)
        body.append(f"<h2>{html.escape(masters.read_title(masters.master_path(part)))}</h2>")
        for name, formula in rows:
            if name.startswith("`") and name not in questions:
                raise ValueError(f"{path.name}: no exercise of Part {part} asks for {name}")
            shapes, section = "", ""
            if name in questions:
                shapes = f'<p class="shapes">{html.escape(shapes_of(questions[name]))}</p>'
                section = f" <small>{sections[name.strip('`')]}</small>"
            shown = markdown().renderInline(formula)
            body.append(f"<section><h3>{markdown().renderInline(name)}{section}</h3><p>{shown}</p>{shapes}</section>")
    return page_html(f"{course}: formulas", "\n".join([*body, "</div>"]), ["sheet"])
