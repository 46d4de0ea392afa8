"""What opens a submission. Runs only in a submission's own process, which has no labels."""
