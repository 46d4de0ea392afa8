"""What takes minutes: speed compared, claims measured, trainings killed, runs verified."""
