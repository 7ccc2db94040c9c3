"""Claims: sentences about a run that the run itself checks.

What a run shows is true on some machines, seeds and presets and false on others. So a notebook does not state it; it makes
a claim in the cell that has the figures, and the reader sees whether it holds here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from helpers.display import tell

RECORD = "COURSE_CLAIMS"  # the environment variable with the file that `course run` and `course claims` read
OTHERWISE = (
    "Your run differs from most: another seed, model or machine can do that. Look at the figures above and say what they "
    "show instead."
)
_made: dict[str, str] = {}  # sentence by name: two claims of one name would replace each other in the table


def claim(name: str, sentence: str, holds: bool, value: float | str = "") -> None:
    """Say whether a sentence about this run holds, and record it for `course claims`.

    Args:
        name: of this claim alone, in words with underscores, the part's number first: `"2_over_optimisation"`.
        sentence: the claim, in the present tense, without the figures of one run.
        holds: whether the run's figures agree with it.
        value: the figure that decides, or a short text with several.

    Raises:
        ValueError: another sentence was claimed under this name.
    """
    if _made.setdefault(name, sentence) != sentence:
        raise ValueError(f"the claim {name!r} was made with another sentence: {_made[name]!r}")
    holds = bool(holds)
    shown = value if isinstance(value, str) else f"{float(value):.3g}"
    here = f" (here: {shown})" if shown else ""
    tell(f"✓ As described: {sentence}{here}." if holds else f"✗ Not so in this run: {sentence}{here}. {OTHERWISE}")
    target = os.environ.get(RECORD)
    if target:
        path = Path(target)
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        record[name] = {"sentence": sentence, "holds": holds, "value": shown}
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
