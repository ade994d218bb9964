"""The explanation of a window's category as a JSON object, for the command and the API."""

from domains.patternClassifier.explain import Trace
from domains.patternClassifier.model import Classification, RuleMatch


def answer_document(found: RuleMatch | Classification | None) -> dict[str, object]:
    """`tier` and `pattern` of a provisional answer are those of the pattern that it is from."""
    if found is None:
        return {"category": None, "tier": None, "pattern": None, "provisional": False}
    rule = found if isinstance(found, RuleMatch) else None
    return {
        "category": found.category,
        "tier": found.tier,
        "pattern": rule.pattern if rule else None,
        "provisional": rule is not None and rule.provisional,
    }


def trace_document(trace: Trace) -> dict[str, object]:
    document = trace._asdict()
    for steps in ("matched", "missed"):
        document[steps] = [
            answer_document(step.rule) | {"priority": step.rule.priority, "reason": step.reason}
            for step in document[steps]
        ]
    return document
