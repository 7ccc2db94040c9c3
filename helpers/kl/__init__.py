"""What Part 3 alone needs: the sweep over the KL weight, and its figures."""
