"""What other trackers recorded, as spans and sessions."""
