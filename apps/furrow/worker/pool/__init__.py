"""What the main process knows of its pool processes: ``supervisor`` assigns jobs to them and hears what became of these."""
