"""Exact answers, computed with NumPy and SciPy only: no oracle shares code with what it checks."""
