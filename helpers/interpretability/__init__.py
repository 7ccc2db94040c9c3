"""Part 5: its figures, heads and circuits, explanations of texts, and the policies that are looked into."""
