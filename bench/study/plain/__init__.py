"""The plain network at its best: what holds it back, what was tried, and the final runs."""
