"""Everyone's day, week and month, computed ahead and equal to the boards."""
