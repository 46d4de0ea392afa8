"""The autograder for Gradescope: ``build`` writes the zip file, the rest is in it."""
