"""The explanation of a window's category as a JSON object, for the command and the API."""

from domains.patternClassifier.explain import Trace
from domains.patternClassifier.model import Classification
from domains.patternClassifier.rules import RuleMatch


def answer_document(found: RuleMatch | Classification | None) -> dict[str, object]:
    if found is None:
        return {"category": None, "tier": None, "pattern": None}
    pattern = found.pattern if isinstance(found, RuleMatch) else None
    return {"category": found.category, "tier": found.tier, "pattern": pattern}


def trace_document(trace: Trace) -> dict[str, object]:
    document = trace._asdict()
    for steps in ("matched", "missed"):
        document[steps] = [
            answer_document(step.rule) | {"priority": step.rule.priority, "reason": step.reason}
            for step in document[steps]
        ]
    return document
