"""A process for each submission: the client starts the server, which forks and limits it."""
