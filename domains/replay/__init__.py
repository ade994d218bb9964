"""History again: what the archive has, by the rules of now, and the corrections that follow."""
