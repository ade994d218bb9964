"""Installed web apps, as browsers name their windows.

| name                                                          | what it says                              |
|---------------------------------------------------------------|-------------------------------------------|
| `discord.com__app`, `chrome-music.youtube.com__-Default`      | an address: host, `__`, path              |
| `www.messenger.com`                                           | a host                                    |
| `crx_cifhbcnohmdccbgoicgdjpfamggdegmo`, `FFPWA-01J…`          | no more than that it is a web app         |
| `com.google.Chrome.app.cifh…`, `WebApp-Gmail1234`             | the same                                  |
"""

import re

_BROWSER = r"(?:(?:google-)?chrome|chromium(?:-browser)?|brave(?:-browser)?|msedge|microsoft-edge|vivaldi|opera)"
_ADDRESS = re.compile(rf"(?:{_BROWSER}-)?((?:[a-z0-9-]{{1,63}}\.)+[a-z]{{2,24}})(?:__|\Z)", re.IGNORECASE)
_SHELL = re.compile(
    rf"(?:crx_|{_BROWSER}-)_?[a-p]{{32}}\b|ffpwa-|webapp-"
    r"|com\.(?:google\.chrome|microsoft\.edgemac|brave\.browser|vivaldi\.vivaldi)\.app\.|com\.apple\.safari\.webapp\."
    r"|org\.gnome\.epiphany\.webapp",
    re.IGNORECASE,
)


def address_of(app: str) -> str:
    """The host that an app's name is, or begins with; empty where it is none. Many a name looks like a host."""
    if "." not in app or len(app) > 253:
        return ""
    found = _ADDRESS.match(app)
    return found[1] if found else ""


def is_web_app(app: str) -> bool:
    """Whether the name is that of an installed web app, of which it says nothing more."""
    return _SHELL.match(app) is not None
