"""Tokens of clients: each is bound by an HMAC to the user for whom it may send."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence

from infrastructure.settings import Settings, names_of


class Tokens:
    """`keys` are those of COLLECT_TOKEN_KEY: the first one signs, and all of them are accepted."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def token_for(self, user: str) -> str:
        return f"{_text(user.encode())}.{_text(_mac(self._keys[0], user))}"

    def user_of(self, token: str) -> str | None:
        """The user for whom `token` was made; None if it is no token of ours."""
        user = named_user(token)
        try:
            given = _bytes(token.partition(".")[2])
        except (Error, ValueError):
            return None
        if not user:
            return None
        matches = [hmac.compare_digest(given, _mac(key, user)) for key in self._keys]
        return user if any(matches) else None


def tokens_of(settings: Settings) -> Tokens:
    """Those of COLLECT_TOKEN_KEY; false if it is not set."""
    key = settings.collect_token_key
    return Tokens(names_of(key.get_secret_value()) if key else [])


def named_user(token: str) -> str | None:
    """The user whom `token` names, whether or not it is valid; None if it names none."""
    try:
        return _bytes(token.partition(".")[0]).decode() or None
    except (Error, ValueError):
        return None


def _mac(key: bytes, user: str) -> bytes:
    return hmac.digest(key, b"pomocore collect\n" + user.encode(), "sha256")


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
