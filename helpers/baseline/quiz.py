"""The forecast quiz: how likely is it that a real language model does a task? State it first, see the answers after."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from IPython.display import HTML, display
from torch import Tensor

from helpers.data import load_recorded
from helpers.plots import plot_calibration, show
from helpers.widgets import widgets_available

BINS = 5  # groups of forecasts in the calibration plot, each 0.2 wide
LogLoss = Callable[[Tensor, Tensor], Any]  # a student's own: what it returns is checked


@dataclass(frozen=True)
class Task:
    """A task as it was put to the model, and the mechanical rule by which its answer was judged."""

    number: int
    kind: str
    text: str
    rule: str


@dataclass(frozen=True)
class Result:
    """What came out of a set of forecasts.

    `accuracy` counts a forecast above 0.5 as "the model is right", one below it as "the model is wrong", and one of
    exactly 0.5 as half a hit, as a tossed coin would be on average.
    """

    accuracy: float
    log_loss: float
    brier: float
    outcomes: Tensor  # int64 [N], 1 where the model was right
    answers: tuple[str, ...]


def load_tasks() -> list[Task]:
    """The tasks, without the model's answers."""
    rows = load_recorded("quiz")["tasks"]
    return [Task(number, row["kind"], row["task"], row["rule"]) for number, row in enumerate(rows, start=1)]


def template(values: Sequence[float] | None = None) -> str:
    """The Python cell with one probability for each task: `values`, or 0.50 for all."""
    tasks = load_tasks()
    numbers = list(values) if values is not None else [0.5] * len(tasks)
    lines = [
        f"        {number:.2f},  # {task.number}. {' '.join(task.text.split())}"
        for task, number in zip(tasks, numbers, strict=True)
    ]
    head = ["def my_forecasts():", '    """My probability for each task of the quiz."""', "    return ["]
    return "\n".join([*head, *lines, "    ]"])


def forecast_form(plain: bool = False) -> None:
    """Show the tasks, each with a field, and below them the finished cell to copy.

    Args:
        plain: print the tasks and an editable cell. Use it where the form does not appear; it is also what happens by
            itself where widgets cannot run.
    """
    try:
        import ipywidgets
    except ImportError:
        plain = True
    if plain or not widgets_available():
        _print_tasks()
    else:
        print("No form below? Then run quiz.forecast_form(plain=True) instead.")
        display(_form(ipywidgets))


def _print_tasks() -> None:
    for task in load_tasks():
        print(f"{task.number}. [{task.kind}] {task.text}\n   Counts as right: {task.rule}\n")
    print("Copy the following over the next exercise's cell, with your own numbers from 0 to 1 in place of 0.50:\n")
    print(template())


def _form(widgets: ModuleType) -> Any:
    """The form; `widgets` is `ipywidgets`, which may be missing."""
    fields, rows = [], []
    for task in load_tasks():
        text = html.escape(task.text).replace("\n\n", "<br>").replace("\n", "<br>")
        label = widgets.HTML(
            f"<div style='line-height:1.4;margin-top:.5em'><b>{task.number}.</b> {text}<br>"
            f"<small>{html.escape(task.kind)} · {html.escape(task.rule)}</small></div>"
        )
        field = widgets.BoundedFloatText(
            value=0.5,
            min=0,
            max=1,
            step=0.05,
            description=f"P({task.number}. right)",
            style={"description_width": "7em"},
            layout={"width": "14em"},
        )
        fields.append(field)
        rows.append(widgets.VBox([label, field]))
    cell = widgets.Textarea(layout={"width": "98%", "height": "14em"}, description="cell")
    moved: set[int] = set()
    count = widgets.HTML()

    def refresh(change: dict | None = None) -> None:
        if change is not None:
            moved.add(fields.index(change["owner"]))
        cell.value = template([field.value for field in fields])
        count.value = (
            f"<p>{len(moved)} of {len(fields)} forecasts made. "
            "<b>Copy the text below over the next exercise's cell</b> (click into it, select all, copy), "
            "so that your forecasts are part of your notebook.</p>"
        )

    for field in fields:
        field.observe(refresh, "value")
    refresh()
    return widgets.VBox([*rows, count, cell])


def read_forecasts(forecasts: object) -> Tensor:
    """The forecasts as float64 `[N]`.

    Raises:
        ValueError: there is not one number between 0 and 1 for each task; the message says what is wrong.
    """
    wanted = len(load_tasks())
    if forecasts is None or forecasts is ...:
        raise ValueError("There are no forecasts yet: paste the finished cell of the form, or type the numbers.")
    if isinstance(forecasts, Tensor):
        forecasts = forecasts.tolist()
    if not isinstance(forecasts, (list, tuple)) or not all(
        isinstance(p, (int, float)) and not isinstance(p, bool) for p in forecasts
    ):
        raise ValueError("forecasts must be a list of numbers")
    if len(forecasts) != wanted:
        raise ValueError(f"There are {wanted} tasks, but {len(forecasts)} forecasts.")
    if all(0 <= p <= 100 for p in forecasts) and sum(p > 1 for p in forecasts) > wanted / 2:
        raise ValueError("These look like percentages. A probability lies between 0 and 1: write 0.5, not 50.")
    bad = [number for number, p in enumerate(forecasts, start=1) if not 0 <= p <= 1]
    if bad:
        raise ValueError(f"A probability lies between 0 and 1 (0.5, not 50); look at task {', '.join(map(str, bad))}.")
    return torch.tensor(forecasts, dtype=torch.float64)


def reveal(forecasts: object, log_loss: LogLoss) -> Result | None:
    """Show the model's answers beside the forecasts, then the scores and the calibration plot.

    Args:
        forecasts: one probability for each task.
        log_loss: `(probabilities [N], outcomes [N]) -> float`, the function of this notebook.

    Returns:
        The scores, or None (with a printed reason) where the forecasts are not complete.
    """
    try:
        p = read_forecasts(forecasts)
    except ValueError as reason:
        print(reason)
        return None
    if not isinstance(log_loss(p[:1], torch.tensor([1])), float):
        print("Write forecast_log_loss first: it must return a Python float.")
        return None
    rows = load_recorded("quiz")["tasks"]
    outcomes = torch.tensor([row["right"] for row in rows])  # [N]
    answers = tuple(row["answer"] for row in rows)
    result = Result(
        accuracy=((p > 0.5) == (outcomes == 1)).double().where(p != 0.5, 0.5).mean().item(),
        log_loss=log_loss(p, outcomes),
        brier=(p - outcomes).square().mean().item(),
        outcomes=outcomes,
        answers=answers,
    )
    display(HTML(_table(p, outcomes, answers, log_loss)))
    _print_scores(result, outcomes, log_loss)
    show(plot_calibration(p.tolist(), outcomes.tolist(), bins=BINS, title=f"Calibration of {len(p)} forecasts"))
    return result


def _table(p: Tensor, outcomes: Tensor, answers: Sequence[str], log_loss: LogLoss) -> str:
    cells = []
    for i, task in enumerate(load_tasks()):
        loss = log_loss(p[i : i + 1], outcomes[i : i + 1])
        right = bool(outcomes[i])
        mark = "✓ right" if right else "✗ wrong"  # no colour: none is legible in the light and in the dark
        cells.append(
            f"<tr><td>{task.number}</td><td style='text-align:left'>{html.escape(task.text)}</td>"
            f"<td style='text-align:left'>{html.escape(answers[i])}</td>"
            f"<td style='white-space:nowrap'>{mark}</td><td>{p[i]:.2f}</td><td>{loss:.2f}</td></tr>"
        )
    head = "".join(f"<th>{name}</th>" for name in ("no.", "task", "the model's answer", "verdict", "your P", "loss"))
    return (
        "<table><caption>The tasks, the recorded answers, and what each forecast cost</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody></table>"
    )


def _print_scores(result: Result, outcomes: Tensor, log_loss: LogLoss) -> None:
    share = outcomes.double().mean()
    half = torch.full((len(outcomes),), 0.5, dtype=torch.float64)
    same = torch.full_like(half, share.item())
    brier = [(constant - outcomes).square().mean().item() for constant in (half, same)]
    print(f"The model was right in {int(outcomes.sum())} of {len(outcomes)} tasks ({share:.0%}).\n")
    print(f"{'':34}accuracy  log loss  Brier score")
    print(f"{'your forecasts':34}{result.accuracy:8.1%}  {result.log_loss:8.3f}  {result.brier:11.3f}")
    print(f"{'0.5 for every task':34}{0.5:8.1%}  {log_loss(half, outcomes):8.3f}  {brier[0]:11.3f}")
    always = f"{share:.2f} for every task (hindsight)"
    print(f"{always:34}{max(share, 1 - share):8.1%}  {log_loss(same, outcomes):8.3f}  {brier[1]:11.3f}")
