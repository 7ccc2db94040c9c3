"""Part 2: its figures, and a policy for gymnasium's environments."""
