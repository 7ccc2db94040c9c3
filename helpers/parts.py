"""The five parts of the course, and where the course lies."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


PARTS = {1: "01_baseline", 2: "02_reinforce", 3: "03_kl", 4: "04_dpo", 5: "05_interpretability"}
