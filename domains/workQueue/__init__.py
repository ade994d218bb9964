"""Jobs that any number of workers on any number of machines share: retries, dead letters, runs, drained or not."""
