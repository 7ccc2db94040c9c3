"""What a notebook does from its first cell to its last: start, check, leave out, carry functions over, hand in."""
