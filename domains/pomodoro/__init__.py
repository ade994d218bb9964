"""Activity messages on their way: read, classified, written, committed."""
