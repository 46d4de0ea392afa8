"""Platforms whose downloads have every file of the class side by side."""
