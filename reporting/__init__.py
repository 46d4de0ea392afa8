"""From evaluations to text, figures and pages. Nothing here needs torch."""
