"""The fault suite: real servers, real processes, faults between them, and a model that computes the right results.

python -m tests.chaos --help
"""
