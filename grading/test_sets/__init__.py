"""What submissions are measured on: the test set of whoever grades, in any of its forms."""
