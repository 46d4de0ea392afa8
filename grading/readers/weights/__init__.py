"""Weights: loaded without running code, and rebuilt as a network by names and shapes."""
