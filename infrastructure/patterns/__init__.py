"""Category patterns as files: the default set, the one reader of such files, and the linter of our own."""
