"""Grades as files that people and course platforms read."""
