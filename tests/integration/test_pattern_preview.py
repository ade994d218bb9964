"""What a proposed pattern would move, on logs that a pipeline has written."""

from datetime import timedelta

from domains.categoryPattern.model import Evidence, PatternKind, PatternProposal
from domains.pomodoro.pattern_preview import Moved, Preview
from tests.integration.conftest import Pipeline
from tests.messages import message

DAY = 1_756_771_200.0
"""2 September 2025 in Seoul begins some hours before it; so do the messages' times."""
WEEK = timedelta(days=7).total_seconds()


def proposed(pattern: str, category: str, kind: PatternKind = PatternKind.APP) -> PatternProposal:
    return PatternProposal("a1", kind, pattern, category, Evidence(40, 9, {}))


async def test_it_tells_what_an_accepted_pattern_moves(pipeline: Pipeline) -> None:
    unknown = [message(userId=f"user-{n % 2}", app="Linear", duration="60", title=f"issue {n}") for n in range(3)]
    await pipeline.process(message(userId="user-1", duration="600"), *unknown)
    preview = pipeline.container.pattern_preview()

    found = await preview.of(proposed("Linear", "Development"), DAY - WEEK, DAY + WEEK)

    assert found == Preview(4, complete=True, moved=[Moved("Uncategorized", 3, 2, 180.0)])
    assert (await preview.of(proposed("Linear", "Development"), DAY + WEEK, DAY + 2 * WEEK)).logs == 0


async def test_what_an_earlier_rule_decides_is_not_moved(pipeline: Pipeline) -> None:
    await pipeline.process(message(app="Visual Studio Code"))
    preview = pipeline.container.pattern_preview()

    found = await preview.of(proposed("Code", "Game"), DAY - WEEK, DAY + WEEK)

    assert found == Preview(1, complete=True, moved=[])
