"""What the pipeline has answered so far, as examples to train the local classifier on."""

from collections.abc import Sequence

from domains.categoryPattern.model import UNCATEGORIZED, CategoryPattern
from domains.patternClassifier.questions import Question, Questions
from domains.pomodoro.ports import CategorizedDataRepositoryPort
from domains.siteProfile.analysis import window_of
from domains.siteProfile.model import EvidenceKind, SiteState
from domains.siteProfile.ports import SiteProfileRepositoryPort

_MOST = 200_000
_BROWSING = "Browsing"

Answer = tuple[Question, str]


async def past_answers(
    categorized: CategorizedDataRepositoryPort, patterns: Sequence[CategoryPattern], questions: Questions
) -> list[Answer]:
    """Questions with the category that their windows were given, the latest 200,000 at the most.

    A browser's own category is left out where there was a URL: it says that nothing better was known.
    """
    names = {pattern.id: pattern.category for pattern in patterns if pattern.category != UNCATEGORIZED}
    return [
        (questions.of(data.window), names[data.category_id])
        for data in await categorized.find_classified(names, _MOST)
        if data.category_id is not None
        and (data.is_llm_based or not data.window.url or names[data.category_id] != _BROWSING)
    ]


async def site_texts(profiles: SiteProfileRepositoryPort, questions: Questions) -> list[Answer]:
    """What the pages of profiled sites say, with the categories that were concluded from it.

    Sites that the local classifier has decided itself are left out: it would learn its own mistakes.
    """
    return [
        (questions.of(window_of(profile)), profile.category)
        async for profile in profiles.find_all([SiteState.CONCLUDED])
        if all(each.kind is not EvidenceKind.LOCAL_CLASSIFIER for each in profile.evidence)
    ]
