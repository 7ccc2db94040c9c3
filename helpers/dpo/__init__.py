"""What Part 4 alone needs: preference pairs, its figures, and TRL's trainer beside the student's own."""
