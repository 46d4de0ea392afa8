"""Platforms whose downloads have a folder for each student."""
