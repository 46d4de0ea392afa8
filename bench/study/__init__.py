"""Trainings of many recipes: the claims of the tutorial, and the augmented recipe."""
