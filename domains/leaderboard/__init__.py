"""Leaderboards: who focused how long, by category and by day, week and month."""
