"""What an operator looks at and asks for: dead letters, scores kept for replay, figures of the streams, tasks."""
