"""Category patterns as files: the default set, the reader of pattern files, and the linter of the default set."""
