"""What was handed in: which files belong to whom, opened without being parsed."""
