"""What a notebook does from its first cell to its last: start, check, carry functions over, hand in."""
