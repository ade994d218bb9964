"""The API and the console over HTTP. The pipeline works the same without them."""
