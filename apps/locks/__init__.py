"""Redis: wake-ups now; mutexes, semaphores and rate limits with fencing later. The only code that talks to Redis."""
