"""The names of tiers and lanes for people. The console shows no other names."""

from domains.patternClassifier.model import Tier
from domains.pomodoro.model import Lane
from infrastructure.http import schemas

_TIERS = {
    Tier.URL: ("URL rule", "a pattern matches the address"),
    Tier.APP: ("App rule", "a pattern matches the app's name"),
    Tier.SITE: ("Known site", "a table of sites has the host"),
    Tier.TITLE: ("Title rule", "a pattern matches the title"),
    Tier.MEMORY: ("Memory", "the LLM told this process before"),
    Tier.CACHE: ("Cache", "the LLM told another instance before"),
    Tier.DOCUMENTS: ("Documents", "the same window was categorised before"),
    Tier.MODEL: ("Local classifier", "the classifier on this machine is sure"),
    Tier.LLM: ("LLM", "asked, and it answered"),
    Tier.PROVISIONAL: ("Provisional rule", "a pattern that cannot know, and nobody knows better"),
    Tier.FALLBACK: ("Nobody", "stays Uncategorized"),
}

_LANES = {
    Lane.FAST: ("Fast", "rules and memory: at once"),
    Lane.SLOW: ("Slow", "look-ups, local classifier, LLM"),
}


def labels() -> schemas.Labels:
    """Tiers in the order in which they are asked. A tier without a label is shown by its value."""
    return schemas.Labels(
        tiers=[_label(tier, *_TIERS.get(tier, (tier.value, ""))) for tier in Tier],
        lanes=[_label(lane, *_LANES.get(lane, (lane.value, ""))) for lane in Lane],
    )


def _label(name: str, label: str, meaning: str) -> schemas.Label:
    return schemas.Label(name=name, label=label, meaning=meaning)
