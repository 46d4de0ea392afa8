"""What the sandbox needs on any system, and how submissions are read where Linux is missing."""
