"""Make a messy class of submissions: `python benchmarks/messy_class.py FOLDER --size 60`.

Sixty students hand in Part 2 (or another) as they do: most right in one way or another, many with one of the wrong answers of
`tests/variants`, some blank, some broken, some late, in the archive that a learning platform would export, with a roster
that names two who handed in nothing. The same arguments make the same class.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import zipfile
from pathlib import Path

from helpers.parts import ANSWER_PLACEHOLDER, PARTS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder import masters  # noqa: E402
from tests.grade.broken import KINDS  # noqa: E402
from tests.grade.samples import blank, notebook, solution  # noqa: E402
from tests.test_variants import VARIANTS, exercises  # noqa: E402

FIRST = "Ada Alan Barbara Claude Donald Edith Frances Grace Hedy Ida John Katherine Leslie Margaret Niklaus Olga Radia".split()
LAST = "Adeyemi Bauer Costa Dubois Eriksen Fischer Garcia Haddad Ivanova Jensen Kim Lopez Müller Nguyen Okafor Patel".split()
SLOW = ("reinforce_step", "dpo_step")
ANSWERS = (
    "The reward model likes certain words, and the policy learns them. **That is reward hacking**: the measure is not the goal.",
    "It gets better because of the gradient.",
    "The baseline does not depend on the action, so its expected contribution is zero: `E[b ∇ log π] = b ∇ Σ π = 0`.",
    "",
)


def person(number: int) -> tuple[str, str, str]:
    """Id, name and e-mail of a student; every seventeenth has an unusual name."""
    name = f"{FIRST[number % len(FIRST)]} {LAST[number * 7 % len(LAST)]}"
    if number % 17 == 3:
        name = f"O’Brien-{number}, Jr."
    return f"{10_000 + 37 * number}", name, f"student{number}@example.edu"


def answers_of(part: int, draw: random.Random) -> list[dict[str, object]]:
    """A cell for each written question, in this student's words."""
    cells: list[dict[str, object]] = []
    for question in masters.load_questions(part):
        if question.manual:
            text = draw.choice(ANSWERS) or ANSWER_PLACEHOLDER
            cells.append({"cell_type": "markdown", "id": f"{question.name}-answer", "metadata": {}, "source": text})
    return cells


def submission(part: int, number: int, draw: random.Random) -> tuple[str, bytes]:
    """The file name and the bytes of one student's hand-in."""
    title = PARTS[part]
    kind = number % 10
    if kind == 9:
        broken = draw.choice([k for k in KINDS if "loop" not in k.name and "sleep" not in k.name])
        return broken.file.replace("a.ipynb", f"{title}.ipynb"), broken.make()
    cells = [str(cell["source"]) for cell in (blank(part) if kind == 8 else solution(part))]
    mine = [v for v in VARIANTS if v.function in exercises() and exercises()[v.function][0].part == part]
    chosen = draw.sample([v for v in mine if v.function not in SLOW], k=min(kind // 2, len(mine))) if kind < 8 else []
    start = "import math\nimport numpy as np\nimport torch\nimport torch.nn.functional as F"
    cells = [start, *cells, *(variant.source for variant in chosen), f"# {draw.random()}\nprint('my notes')"]
    content = json.loads(notebook(*cells))
    content["cells"] += answers_of(part, draw)
    return f"{title}.ipynb", json.dumps(content).encode()


def make(folder: Path, size: int, part: int = 2, seed: int = 0, layout: str = "moodle") -> Path:
    """Write the class and its roster; return the folder or archive to grade."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    with (folder / "roster.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "email"])
        writer.writerows(person(number) for number in range(size + 2))  # the last two hand in nothing
    files = []
    for number in range(size):
        student, name, _ = person(number)
        title, data = submission(part, number, draw)
        if layout == "folders":
            files.append((f"{student}/{title}", data))
        elif layout == "moodle":
            files.append((f"{name}_{student}_assignsubmission_file_/{title}", data))
        else:
            late = "LATE_" if number % 13 == 0 else ""
            files.append((f"{name.replace(' ', '').lower()}_{late}{student}_{90_000 + number}_{title}", data))
    if layout == "folders":
        for path, data in files:
            (folder / "submissions" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "submissions" / path).write_bytes(data)
        return folder / "submissions"
    with zipfile.ZipFile(folder / "submissions.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files:
            archive.writestr(path, data)
    return folder / "submissions.zip"


def main() -> None:
    """Read the command line and make the class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=60)
    parser.add_argument("--part", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=("moodle", "canvas", "folders"), default="moodle")
    options = parser.parse_args()
    made = make(options.folder, options.size, options.part, options.seed, options.layout)
    print(f"{options.size} submissions: {made}\nroster: {options.folder / 'roster.csv'}")


if __name__ == "__main__":
    main()
