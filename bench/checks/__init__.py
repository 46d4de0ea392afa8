"""Checks of whole runs: verified, reproduced, interrupted, and seen in a browser."""
