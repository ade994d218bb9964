"""Has every instance know the corrections, and then corrects what was committed."""

import asyncio

from domains.operations.ports import TaskQueuePort
from domains.pomodoro.correcting import Applied, Corrections

RELOAD_SECONDS = 2.5
"""How long instances take to load what has changed."""


async def apply_corrections(queue: TaskQueuePort, corrections: Corrections) -> Applied:
    """Raises Outage and TaskRefused; what was written before stays written, and is pending still."""
    if not await corrections.are_pending():
        return Applied(0, 0, 0, 0, 0, {}, ())
    await queue.patterns_changed()
    await asyncio.sleep(RELOAD_SECONDS)
    return await corrections.apply()


def applied_document(applied: Applied) -> dict[str, object]:
    moves = [{"from": before, "to": now, "seconds": round(it, 3)} for (before, now), it in applied.moved.items()]
    return {**applied._asdict(), "moved": moves, "archived": list(applied.archived)}
