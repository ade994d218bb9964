"""How many examples tests by examples take: a third in `make test`, all of them in `make chaos` (TEST_DEPTH=3)."""

import os

_THIRDS = int(os.environ.get("TEST_DEPTH", "1"))


def examples(count: int) -> int:
    """The number of examples to try, of `count` at full depth."""
    return count * _THIRDS // 3
