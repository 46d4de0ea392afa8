"""What every other folder may use: files, errors, text, command lines, the environment."""
