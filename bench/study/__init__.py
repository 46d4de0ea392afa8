"""Trainings of many recipes: the tutorial's claims, the augmented recipe, the plain network."""
