"""Who focused how long: boards by category and day, week, month."""
