"""Hand-made BSON says what the driver would say."""

import bson
import pytest
from bson.errors import InvalidId
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.mongo.raw_ids import documents_with

IDS = st.lists(st.text("0123456789abcdefABCDEF", min_size=24, max_size=24), min_size=1, max_size=130)


@given(IDS, st.booleans())
def test_a_query_is_encoded_as_the_driver_encodes_it(ids: list[str], without_category: bool) -> None:
    query: dict[str, object] = {"_id": {"$in": list(map(ObjectId, ids))}}
    if without_category:
        query["categoryId"] = None

    assert documents_with(ids, without_category).raw == bson.encode(query)


@pytest.mark.parametrize(
    "odd", ["", "a" * 23, "a" * 25, "g" * 24, "a" * 22 + "  ", "  " + "a" * 24, "a" * 12 + " " * 12]
)
def test_what_is_no_id_is_refused(odd: str) -> None:
    with pytest.raises(InvalidId):
        documents_with(["a" * 24, odd, "b" * 24])


def test_parts_of_ids_never_make_up_for_each_other() -> None:
    with pytest.raises(InvalidId):
        documents_with(["a" * 22, "a" * 26])
