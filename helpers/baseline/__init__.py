"""What Part 1 alone needs: the forecast quiz and the picture of the transformer."""
