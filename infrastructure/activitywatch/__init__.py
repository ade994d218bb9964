"""ActivityWatch: its server and its exports, and what becomes of them."""
