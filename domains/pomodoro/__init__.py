"""Activity messages: how they are read, classified, written and committed."""
