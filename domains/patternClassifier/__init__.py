"""How a window gets its category: by rules in the process, then by slower tiers, at last by the LLM."""
