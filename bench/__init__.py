"""The benchmark: `python -m bench`. README.md in this folder says what is measured, how, and with which results."""
