"""One's own training runs: which they are, what they are worth, what they learned."""
