"""The side door: how the pipeline is, over HTTP. The pipeline itself works the same without it."""
