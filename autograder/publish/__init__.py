"""`course build`: every form of every notebook, made from the masters, with the same bytes each time.

    solutions/NN.py ──▶ notebooks/NN.ipynb and notebooks/tests/   the student's (committed)
                    ├─▶ solutions/NN.ipynb                         the solution (committed)
                    ├─▶ build/otter/NN.zip                         Gradescope and `otter run`
                    └─▶ build/nbgrader/{source,release}/NN/        JupyterHub

`otter assign` and `nbgrader generate_assignment` do their own work, called by their command lines. This package puts in
what all notebooks share before, and makes the result reproducible after.
"""

from __future__ import annotations

from .pipeline import BuildReport, build, check_committed, difference

__all__ = ["BuildReport", "build", "check_committed", "difference"]
