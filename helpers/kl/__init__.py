"""Part 3: its figures, and sweeps of training runs."""
