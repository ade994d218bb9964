"""Text and JSON that may go to a terminal or into a log, whoever wrote it.

Titles, ids and other people's messages may hold control characters, with which they could write over what is on a
terminal or add lines to a log, and halves of surrogate pairs, which no encoding takes.
"""

import json
import re

_UNPAIRED = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` on one line: what is not printable, or is no UTF-8, as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def printable_lines(text: str) -> str:
    """The same for a text that has lines of its own."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """The same JSON, on one line or several. Half a surrogate pair, which JSON cannot hold, becomes U+FFFD."""
    if text.isprintable():
        return text
    return "\n".join(map(_escaped, _UNPAIRED.sub("\ufffd", text).split("\n")))


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
