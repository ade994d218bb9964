"""A site's profile: its visits, what its page said, and the category that follows from it.

A *site* is a registrable domain (`example.co.kr`), in canonical form (`split_url`). All text in a profile was public
on the site's own page. It is hostile: it is bounded here and printable, and it says something of its own site only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

LONGEST_TEXT = 500
"""Characters of a title, a description or the keywords that are kept."""
_MOST_NAMES, _LONGEST_NAME = 20, 60


class SiteState(StrEnum):
    """How far a profile has come.

    VISITING: a visit has begun, and its end is not stored. FETCHED: its page waits for the analyser. CONCLUDED: it
    has a category. OPEN: the evidence allows no conclusion. FAILED: there is no page; the outcome says why.
    FORGOTTEN: an operator had the profile removed; that the site was visited is still remembered.
    """

    VISITING = "visiting"
    FETCHED = "fetched"
    CONCLUDED = "concluded"
    OPEN = "open"
    FAILED = "failed"
    FORGOTTEN = "forgotten"


UNFINISHED = frozenset({SiteState.VISITING, SiteState.FETCHED})


class VisitOutcome(StrEnum):
    """How a visit ended."""

    PAGE = "page"
    ROBOTS = "robots"
    FORBIDDEN_ADDRESS = "forbidden_address"
    REDIRECT = "redirect"
    STATUS = "status"
    NOT_HTML = "not_html"
    UNREADABLE = "unreadable"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    INTERRUPTED = "interrupted"


class EvidenceKind(StrEnum):
    """Where evidence comes from, the strongest first."""

    MANIFEST = "manifest"
    JSON_LD = "json_ld"
    OPEN_GRAPH = "open_graph"
    WORDS = "words"
    LOCAL_CLASSIFIER = "local_classifier"
    LLM = "llm"


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What the head of a page says, shortened. `json_ld` has types, `applications` has `applicationCategory`s."""

    title: str = ""
    description: str = ""
    keywords: str = ""
    open_graph_type: str = ""
    json_ld: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    manifest: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What a person would read of it."""
        return " · ".join(dict.fromkeys(filter(None, (self.title, self.description, self.keywords))))

    def as_document(self) -> dict[str, str | list[str]]:
        return {
            field.name: list(value) if isinstance(value := getattr(self, field.name), tuple) else value
            for field in fields(self)
        }


def facts_of(found: Mapping[str, object]) -> PageFacts:
    """Facts from anything that has their names: texts are made printable and shortened, and the rest is left out."""
    values: dict[str, str | tuple[str, ...]] = {}
    for field in fields(PageFacts):
        value = found.get(field.name)
        if isinstance(field.default, str):
            values[field.name] = printable(value, LONGEST_TEXT) if isinstance(value, str) else ""
        elif isinstance(value, list | tuple):
            names = (printable(name, _LONGEST_NAME) for name in value if isinstance(name, str))
            values[field.name] = tuple(dict.fromkeys(filter(None, names)))[:_MOST_NAMES]
    return PageFacts(**values)  # type: ignore[arg-type]


def printable(text: str, longest: int) -> str:
    """One line of printable characters, at most `longest` of them."""
    head = text[: 4 * longest]
    return " ".join("".join(letter if letter.isprintable() else " " for letter in head).split())[:longest]


class SiteEvidence(NamedTuple):
    """One reason for a category: where it comes from, what was found there, and how much it weighs (0 to 1)."""

    kind: EvidenceKind
    found: str
    category: str
    weight: float


@dataclass(frozen=True, slots=True)
class SiteProfile:
    """A site and its latest visit. Times are Unix seconds; `confidence` is 0 to 1.

    `visited_at` names the visit: whatever is saved of an earlier one is late. `detail` says in a few words how a
    visit without a page ended.
    """

    site: str
    visited_at: float
    state: SiteState = SiteState.VISITING
    outcome: VisitOutcome | None = None
    detail: str = ""
    facts: PageFacts = PageFacts()
    category: str = ""
    confidence: float = 0.0
    evidence: tuple[SiteEvidence, ...] = ()


def as_json(profile: SiteProfile) -> dict[str, object]:
    """The profile for people and programs that ask for it, as JSON values."""
    return {
        "site": profile.site,
        "state": profile.state.value,
        "visited_at": profile.visited_at,
        "outcome": profile.outcome.value if profile.outcome else None,
        "detail": profile.detail,
        "category": profile.category or None,
        "confidence": profile.confidence,
        "evidence": [{**each._asdict(), "kind": each.kind.value} for each in profile.evidence],
        "facts": profile.facts.as_document(),
    }
