"""What the main process knows of its pool processes: ``crew`` assigns jobs to them and hears what became of these."""
