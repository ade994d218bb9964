"""Tests by examples depend on their examples alone."""

from time import sleep

from hypothesis import given, settings
from hypothesis.strategies import just


@settings(max_examples=1, database=None)
@given(just(0.3))
def test_an_example_may_take_its_time(seconds: float) -> None:
    sleep(seconds)
