"""What the notebooks of the course import. It holds no solution of any exercise."""
