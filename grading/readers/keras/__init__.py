"""Keras' own files: what they describe, the arrays in them, and the same network in torch."""
