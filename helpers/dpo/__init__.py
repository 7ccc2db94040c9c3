"""Part 4: its figures, preference pairs, and TRL beside them."""
