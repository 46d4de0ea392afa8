"""From submissions to an evaluation. The process that grades never loads torch."""
