"""What Part 2 alone needs: its figures, and a control task to compare with."""
