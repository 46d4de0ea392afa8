"""What keeps a submission's process in, on Linux: limits, a filter of system calls, bubblewrap."""
