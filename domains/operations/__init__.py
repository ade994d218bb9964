"""What operators look at and ask for: dead letters, scores kept for replay, figures of the streams, tasks."""
