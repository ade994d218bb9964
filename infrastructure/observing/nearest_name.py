"""What was probably meant by a name that there is not. Imports nothing that takes time."""

from collections.abc import Iterable
from difflib import get_close_matches


def hint(name: str, known: Iterable[str]) -> str:
    """The nearest of the `known` names, in any case; all of them where none is near."""
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), by_lower, 1)
    if near:
        return f"did you mean {by_lower[near[0]]}?"
    return f"there are {', '.join(each for _, each in sorted(by_lower.items())) or 'none'}"
