"""Text that hostile files hold, as the rows of a table."""
