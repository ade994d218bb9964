"""Tokens of the collector's clients."""

import pytest

from infrastructure.collector.tokens import Tokens, named_user

TOKENS = Tokens(["the-key-of-now", "the-key-before"])


@pytest.mark.parametrize("user", ["ann", "9f3c.7a", "사용자", "two\nlines", "a" * 500])
def test_a_token_is_of_its_user(user: str) -> None:
    token = TOKENS.token_for(user)

    assert TOKENS.user_of(token) == named_user(token) == user
    assert Tokens(["the-key-before"]).user_of(token) is None


def test_tokens_of_the_key_before_are_accepted_while_it_is_there() -> None:
    assert TOKENS.user_of(Tokens(["the-key-before"]).token_for("ann")) == "ann"


@pytest.mark.parametrize(
    "token", ["", ".", "ann", "YW5u.", ".YW5u", "YW5u.YW5u", "é.é", "YW5u." + "A" * 43, "====.===="]
)
def test_what_is_no_token_has_no_user(token: str) -> None:
    assert TOKENS.user_of(token) is None
