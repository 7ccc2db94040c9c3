"""Part 1: the picture of a transformer with blanks, and the forecast quiz."""
