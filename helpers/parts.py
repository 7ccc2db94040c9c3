"""What every room of the course must know: where the course lies, its five parts, and the mark of an empty answer."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {1: "01_baseline", 2: "02_reinforce", 3: "03_kl", 4: "04_dpo", 5: "05_interpretability"}
ANSWER_PLACEHOLDER = "_Type your answer here, replacing this text._"  # otter's words, in every form of a notebook
