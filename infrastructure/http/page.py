"""The console's files, served as they are in console/: a page, its style sheet, texts, and scripts as ES modules."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: only files of this server are run or shown."""

PAGE = "console.html"
ROUTES = ("/", "/boards", "/users", "/windows", "/dead-letters", "/patterns", "/analytics", "/system")
"""Where the console's page is; its script shows the part that the address names."""
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


class ConsoleFile(NamedTuple):
    """`tag` changes with the content, so that a browser does not fetch an unchanged file again."""

    body: bytes
    content_type: str
    tag: str


@cache
def console_files() -> Mapping[str, ConsoleFile]:
    """All files by name."""
    found = {}
    for file in files(__package__).joinpath("console").iterdir():
        if content_type := _TYPES.get(f".{file.name.rpartition('.')[2]}"):
            body = file.read_bytes()
            found[file.name] = ConsoleFile(body, content_type, hashlib.sha256(body).hexdigest()[:32])
    return found
