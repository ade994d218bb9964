"""The console: one HTML file with its style and scripts in it, put together from what lies in console/."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_STYLE = "console.css"
_SCRIPTS = ("page.js", "plot.js", "figures.js", "boards.js", "letters.js", "windows.js", "console.js")
"""They share one scope, in this order."""


class Page(NamedTuple):
    """`policy` is the Content-Security-Policy under which nothing runs but what is in `html`."""

    html: str
    policy: str


@cache
def page() -> Page:
    style, script = _read(_STYLE), "\n".join(map(_read, _SCRIPTS))
    html = _read("console.html").replace("/*style*/", style, 1).replace("/*script*/", script, 1)
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html, policy)


def _read(name: str) -> str:
    return files(__package__).joinpath("console", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
