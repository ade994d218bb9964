"""Every Lua script of the pipeline by name, complete as Redis gets it.

Each script is a file with a head that says what its KEYS and ARGV are, what it returns and why it is atomic. What
several scripts need stands once, in `shared/`; a line `-- Needs: ids, scores` in the head puts it in front of the
script, and in front of it what it needs itself. A reply of more than one value is a flat list of names and values,
which `named` reads.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from domains.leaderboard.model import NOTHING_SECONDS

_NEEDS = re.compile(r"^-- Needs: (.+)$", re.MULTILINE)
_CONSTANTS = {"NOTHING_SECONDS": NOTHING_SECONDS}


def _text(path: str) -> str:
    return files(__package__).joinpath(path).read_text(encoding="utf-8")


def _needed(name: str) -> str:
    return f"local {name} = {_CONSTANTS[name]!r}\n" if name in _CONSTANTS else _text(f"shared/{name}.lua")


def _script(name: str) -> str:
    text, parts = _text(f"{name}.lua"), dict[str, str]()
    _add_needs(text, parts)
    return "".join(parts.values()) + text


def _add_needs(text: str, parts: dict[str, str]) -> None:
    """Adds what `text` needs to `parts` (text by name), each once, and behind what it needs itself."""
    for part in [part for line in _NEEDS.findall(text) for part in line.split(", ")]:
        if part not in parts:
            needed = _needed(part)
            _add_needs(needed, parts)
            parts[part] = needed


ABANDON_REBUILD = _script("abandon_rebuild")
ADD_JOBS = _script("add_jobs")
ANNOUNCE_ENDS = _script("announce_ends")
AROUND_USER = _script("around_user")
BEGIN_REBUILD = _script("begin_rebuild")
CARD_SCORES = _script("card_scores")
CLAIM_USERS = _script("claim_users")
COMMIT = _script("commit")
COUNT = _script("count")
DELIVER = _script("deliver")
DROP_POSTINGS = _script("drop_postings")
DUE_ENDS = _script("due_ends")
FIGURES = _script("figures")
FINISH_JOB = _script("finish_job")
KEEP_JOBS = _script("keep_jobs")
LEAVE = _script("leave")
LETTER_SUMMARIES = _script("letter_summaries")
MARK_DEFERRING = _script("mark_deferring")
PUBLISH_COLLECTED = _script("publish_collected")
NOTE_SITES = _script("note_sites")
PUT_ANSWERS = _script("put_answers")
RENEW_REBUILD = _script("renew_rebuild")
REPLAY_LETTER = _script("replay_letter")
REPLAY_SCORE = _script("replay_score")
REQUEUE_SCORE = _script("requeue_score")
RESERVE_BUDGET = _script("reserve_budget")
RETRY_JOB = _script("retry_job")
SEND_SCHEDULED = _script("send_scheduled")
SETTLE = _script("settle")
SETTLE_EVENTS = _script("settle_events")
SETTLE_BUDGET = _script("settle_budget")
SWAP_BOARDS = _script("swap_boards")
TAKE_JOBS = _script("take_jobs")
TAKE_SITE_TURN = _script("take_site_turn")
TAKE_TURN = _script("take_turn")
TIDY = _script("tidy")
TRIM_EVENTS = _script("trim_events")


def named(reply: Sequence[Any]) -> dict[str, Any]:
    """A reply `{'name', value, …}` as a dictionary."""
    return dict(zip(reply[::2], reply[1::2], strict=True))
