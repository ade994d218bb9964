"""The report of a load test: what was measured, and what it was before."""

import pytest

from bench.load import _limit, page, report

OFFERED, TOOK = {"messages": 500.0}, {"XADD to board": [1.5, 2.0, 9.0]}
FIGURES = {"offered a second": OFFERED, "p50, p95, p99 in ms": TOOK, "first limit": "none"}


def test_a_report_compares_with_the_one_before() -> None:
    text = report(FIGURES, {"offered a second": {"messages": 400.0}})

    assert "| messages | 500.0 | 400.0 |" in text
    assert "| XADD to board | 1.5 / 2 / 9 |  |" in text
    assert "First limit: **none**" in text


def test_a_page_has_what_the_report_has_and_no_markup_of_others() -> None:
    html = page(report({"offered a second": {"<b>": 1}, "first limit": "a & b"}, None))

    assert "<td>&lt;b&gt;<td>1" in html
    assert "a &amp; b" in html
    assert "---" not in html
    assert "<h2>Offered a second</h2>" in html


@pytest.mark.parametrize(
    ("cores", "behind", "reached", "limit"),
    [
        ({"consumer": 0.95, "redis-server": 0.2}, 0, 500, "consumer: 0.95 of a core"),
        ({"consumer": 0.2}, 0, 300, "the machine: only 300 of 500"),
        ({"consumer": 0.2}, 501, 500, "the consumer is behind"),
        ({"consumer": 0.2}, 3, 490, "none"),
    ],
)
def test_the_first_limit_is_named(cores: dict[str, float], behind: int, reached: float, limit: str) -> None:
    assert _limit(cores, behind, 500, reached).startswith(limit)
