"""The benchmark: `python -m bench`. What is measured, how, and what came out stands in README.md beside this."""
