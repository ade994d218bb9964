"""The fault suite: real servers, real processes, faults between them, and a model that knows what must come out.

python -m tests.chaos --help
"""
