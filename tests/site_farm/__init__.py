"""A farm of made-up sites on this machine, good ones and hostile ones, for everything that looks at sites."""
