"""Which category a window is: rules in process, then the cache, then the LLM."""
