"""`python -m tests.mutation`: judge the mutants of all exercises, or of some, and write the table of `docs/mutation.md`."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from helpers.parts import ROOT
from tests.mutation import table
from tests.mutation.judge import judge_all, mutants
from tests.mutation.mutator import Mutant
from tests.mutation.truths import ORACLES

CHECKPOINT = ROOT / "build" / "mutation.jsonl"
TURN = 250  # mutants of one exercise before the next has its turn


def records(path: Path) -> Iterator[dict]:
    """The verdicts in a checkpoint; a last line that was cut off is left out."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith("}"):
                yield json.loads(line)


def in_turns(functions: Iterable[str], most: int | None, done: set[str]) -> Iterator[list[Mutant]]:
    """What is left to be judged: a turn of each exercise after the other, so that a run cut short has seen them all."""
    queues = [[m for m in mutants(function)[:most] if m.key not in done] for function in functions]
    turns = [[queue[i : i + TURN] for i in range(0, len(queue), TURN)] for queue in queues]
    for row in itertools.zip_longest(*turns, fillvalue=[]):
        yield from (turn for turn in row if turn)


def run(functions: list[str], most: int | None, resume: bool, path: Path = CHECKPOINT) -> list[dict]:
    """Judge and note down; the verdicts, those of earlier runs on other exercises included.

    Args:
        functions: the exercises.
        most: so many mutants of each at most.
        resume: whether verdicts in the checkpoint hold; they do as long as tests and answers stay what they were.
        path: the checkpoint.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [record for record in records(path) if resume or record["function"] not in functions]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    turns = list(in_turns(functions, most, {record["key"] for record in kept}))
    with path.open("a", encoding="utf-8") as file, tqdm(total=sum(map(len, turns)), unit=" mutants") as bar:
        for turn in turns:
            for mutant, verdict in judge_all(turn):
                notable = verdict.kind == "hole" or verdict.too_strict or verdict.faults
                record = {
                    **{name: getattr(mutant, name) for name in ("key", "function", "seed", "operator", "line")},
                    **asdict(verdict), "kind": verdict.kind, "too_strict": verdict.too_strict,
                    "source": mutant.source if notable else None,
                }  # fmt: skip
                kept.append(record)
                file.write(json.dumps(record) + "\n")
                file.flush()
                bar.update()
            bar.set_postfix_str(f"{sum(record['kind'] == 'hole' for record in kept)} holes")
    return kept


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--function", nargs="+", choices=sorted(ORACLES), default=list(ORACLES), metavar="NAME")
    parser.add_argument("--sample", type=int, metavar="N", help="judge N mutants of each exercise, not all of them")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument("--write", action="store_true", help="write the table into docs/mutation.md")
    parser.add_argument("--table", action="store_true", help="judge nothing; show what the checkpoint holds")
    arguments = parser.parse_args()
    found = list(records(CHECKPOINT)) if arguments.table else run(arguments.function, arguments.sample, arguments.resume)
    print(table.text(found))
    if arguments.write:
        table.write(found)


if __name__ == "__main__":
    main()
