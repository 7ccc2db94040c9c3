"""All right and wrong answers of the tests, whole notebooks at a time, under `otter run` and under this grader.

    course build && python benchmarks/otter_agreement.py [--parts 1 2]

A notebook holds one variant of every function of its part; some forty notebooks a part give each variant its turn. Both
graders have to give the same points to every question. This takes otter hours, so what was compared is kept in
`build/otter-agreement.jsonl`, and a second run goes on from there (delete the file to begin anew). The tests compare the
engine on a third of the variants and one such notebook a part (`tests/grade/test_otter_agreement.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import loky
from tqdm.auto import tqdm

from helpers.parts import PARTS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder import masters  # noqa: E402
from autograder.grade import schedule  # noqa: E402
from autograder.grade.intake import notebook  # noqa: E402
from autograder.grade.intake.apart import course  # noqa: E402
from autograder.grade.jobs import Job  # noqa: E402
from autograder.grade.limits import Limits  # noqa: E402
from tests.grade import mixed  # noqa: E402

LOG = ROOT / "build" / "otter-agreement.jsonl"
SECRET = "5e" * 32


def compare(part: int, number: int) -> dict[str, Any]:
    """Grade one mixed notebook with both; the points of each question, and the seconds each grader took."""
    with tempfile.TemporaryDirectory() as folder:
        made = mixed.mixed_notebook(part, number)
        began = time.perf_counter()
        theirs = mixed.by_otter(made, part, ROOT / "build" / "otter" / f"{part:02d}.zip", Path(folder))
        middle = time.perf_counter()
        cells = tuple(notebook.read((Path(folder) / f"{PARTS[part]}.ipynb").read_bytes(), course())["code"])
    result = schedule.on_worker(Job(f"{part}/{number}", part, cells, SECRET), Limits(), False)
    ours = {question.name: question.points for question in result.questions}
    names = {variant.function: variant.name for variant in mixed.chosen(part, number)}
    seconds = [round(middle - began, 1), round(time.perf_counter() - middle, 1)]
    return {"part": part, "number": number, "variants": names, "otter": theirs, "ours": ours, "seconds": seconds}


def main() -> None:
    """Compare what is not compared yet; list the disagreements; exit status 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, nargs="*", default=masters.existing_parts())
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="notebooks side by side, a core each")
    options = parser.parse_args()
    done = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
    known = {(row["part"], row["number"]) for row in done}
    waiting = [(p, n) for p in options.parts for n in range(mixed.rounds(p)) if (p, n) not in known]
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        executor = loky.get_reusable_executor(max_workers=options.workers, timeout=None)
        made = [executor.submit(compare, part, number) for part, number in waiting]
        for future in tqdm(loky.as_completed(made), total=len(made), unit="notebook"):
            done.append(future.result())
            log.write(json.dumps(done[-1]) + "\n")
            log.flush()
    for part in options.parts:
        rows = [row for row in done if row["part"] == part]
        variants = {tuple(pair) for row in rows for pair in row["variants"].items()}
        seconds = [sum(row["seconds"][grader] for row in rows) / len(rows) for grader in (0, 1)]
        print(
            f"Part {part}: {len(rows)} notebooks, {len(variants)} variants; otter {seconds[0]:.1f} s, we {seconds[1]:.1f} s each"
        )
    apart = [row for row in done if row["otter"] != row["ours"]]
    for row in apart:
        differing = {
            q: (row["otter"].get(q), row["ours"].get(q)) for q in row["ours"] if row["otter"].get(q) != row["ours"][q]
        }
        print(f"  notebook {row['number']} of Part {row['part']}: otter and we say {differing}; {row['variants']}")
    print(f"{len(done)} notebooks compared, {len(apart)} with other points")
    sys.exit(bool(apart))


if __name__ == "__main__":
    main()
