"""What Part 5 alone needs: looking into heads and intervening on them, explanations, the task, its figures."""
