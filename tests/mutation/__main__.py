"""`python -m tests.mutation`: judge the mutants of all exercises, or of some, and write the table of `docs/mutation.md`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from helpers.parts import ROOT
from tests.mutation import tally
from tests.mutation.judging import Verdict, judge_all, mutants
from tests.mutation.mutator import Mutant
from tests.mutation.truths import ORACLES

CHECKPOINT = ROOT / "build" / "mutation.jsonl"


def records(path: Path) -> Iterator[dict]:
    """The verdicts in a checkpoint; a last line that was cut off is left out."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith("}"):
                yield json.loads(line)


def run(functions: list[str], every: int, resume: bool, path: Path = CHECKPOINT) -> list[dict]:
    """Judge and note down; the verdicts, those of earlier runs on other exercises included.

    Args:
        functions: the exercises.
        every: one mutant in so many is judged.
        resume: whether verdicts in the checkpoint hold; holes, faults and tests that are too strict are judged again.
        path: the checkpoint.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    again = ("hole", "fault")
    holds = [r for r in records(path) if r["kind"] not in again and not r["too_strict"]] if resume else []
    kept = [r for r in records(path) if r["function"] not in functions] + [
        r for r in holds if r["function"] in functions
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    done = {record["key"] for record in kept}
    with path.open("a", encoding="utf-8") as file:
        for function in functions:
            waiting = [mutant for mutant in mutants(function, every) if mutant.key not in done]
            for mutant, verdict in tqdm(judge_all(waiting), function, len(waiting), unit=" mutants"):
                kept.append(record_of(mutant, verdict))
                file.write(json.dumps(kept[-1]) + "\n")
                file.flush()
    return kept


def record_of(mutant: Mutant, verdict: Verdict) -> dict:
    """A line of the checkpoint; the sources of those that somebody must look at are kept."""
    notable = verdict.kind == "hole" or verdict.too_strict or verdict.faults
    return {
        **{name: getattr(mutant, name) for name in ("key", "function", "seed", "operator", "line")},
        **asdict(verdict), "kind": verdict.kind, "too_strict": verdict.too_strict,
        "source": mutant.source if notable else None,
    }  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--function", nargs="+", choices=sorted(ORACLES), default=list(ORACLES), metavar="NAME")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="judge one mutant in N, not all of them")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument("--write", action="store_true", help="write the table into docs/mutation.md")
    parser.add_argument("--table", action="store_true", help="judge nothing; show what the checkpoint holds")
    arguments = parser.parse_args()
    found = (
        list(records(CHECKPOINT)) if arguments.table else run(arguments.function, arguments.sample, arguments.resume)
    )
    print(tally.text(found))
    if arguments.write:
        tally.write(found)


if __name__ == "__main__":
    main()
