"""The analyser's work: from what a page says to the category of its site, shared with all instances.

Evidence is taken in the order of its strength, and no more of it than needed: the page's markup and words, then the
local classifier, at last the LLM. These two get the public text of the site alone, never a window.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from domains.kernel.window import Window
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.llm_queue import LLMQueue
from domains.patternClassifier.ports import LocalClassifierPort
from domains.patternClassifier.questions import Question, Questions
from domains.siteProfile.conclusion import Findings, weigh
from domains.siteProfile.lexicon import evidence_of_words
from domains.siteProfile.markup import evidence_of_markup
from domains.siteProfile.model import EvidenceKind, SiteEvidence, SiteProfile, SiteState
from domains.siteProfile.ports import SharedSitesPort, SiteObserver, SiteProfileRepositoryPort
from domains.workQueue.model import MAX_TRIES, Job

_WEIGHT_OF_CLASSIFIER = 0.8
_WEIGHT_OF_LLM = 0.8
_SHOWN = 80


class LLMIsAway(Exception):
    """The LLM has no answer now; the job is tried again."""


class SiteAnalysis:
    """`local_classifier` and `llm_queue` may be None. Below `min_confidence` nothing is concluded."""

    def __init__(
        self,
        profiles: SiteProfileRepositoryPort,
        shared: SharedSitesPort,
        classifier: PatternClassifier,
        questions: Questions,
        local_classifier: LocalClassifierPort | None,
        llm_queue: LLMQueue | None,
        observer: SiteObserver,
        min_confidence: float,
    ) -> None:
        self._profiles = profiles
        self._shared = shared
        self._classifier = classifier
        self._questions = questions
        self._local_classifier = local_classifier
        self._llm_queue = llm_queue
        self._observer = observer
        self._min_confidence = min_confidence

    async def do(self, job: Job) -> None:
        """Analyses the page that waits, and shares what is known of the site in any case. Safe to repeat."""
        profile = (await self._profiles.find([job.key])).get(job.key)
        if profile is None:
            return
        if profile.state is SiteState.FETCHED:
            profile = await self._analysed(profile, patient=job.tries + 1 < MAX_TRIES)
            if not await self._profiles.save(profile):  # a later visit has begun
                return
            self._observer.site_concluded(profile)
        await self._shared.share({profile.site: profile.category})

    async def _analysed(self, profile: SiteProfile, patient: bool) -> SiteProfile:
        found = await self._findings(profile, patient)
        category, confidence = found.conclusion
        state = SiteState.CONCLUDED if category else SiteState.OPEN
        return replace(
            profile, state=state, category=category, confidence=round(confidence, 3), evidence=found.evidence
        )

    async def _findings(self, profile: SiteProfile, patient: bool) -> Findings:
        facts = profile.facts
        found = self._weighed([*evidence_of_markup(facts), *evidence_of_words(facts)])
        if found.conclusion.category:
            return found
        question = self._questions.of(window_of(profile))
        found = self._weighed([*found.evidence, *await self._of_local_classifier(question)])
        if found.conclusion.category:
            return found
        return self._weighed([*found.evidence, *await self._of_llm(question, profile.site, patient)])

    def _weighed(self, evidence: Iterable[SiteEvidence]) -> Findings:
        return weigh(list(evidence), self._classifier.snapshot.categories, self._min_confidence)

    async def _of_local_classifier(self, question: Question) -> list[SiteEvidence]:
        if self._local_classifier is None or not question.title:
            return []
        (name,) = await asyncio.to_thread(self._local_classifier.predict, [question])
        return [_evidence(EvidenceKind.LOCAL_CLASSIFIER, question, name, _WEIGHT_OF_CLASSIFIER)] if name else []

    async def _of_llm(self, question: Question, site: str, patient: bool) -> list[SiteEvidence]:
        """The LLM's answer. Each site asks as a user of its own, so that no request holds the text of two.

        Raises LLMIsAway where there is no answer now and one should be waited for.
        """
        if self._llm_queue is None or not question.title:
            return []
        categories = sorted(self._classifier.snapshot.categories)
        answers = await self._llm_queue.ask({question: [f"site {site}"]}, categories)
        if question not in answers and patient:
            raise LLMIsAway
        name = answers.get(question)
        return [_evidence(EvidenceKind.LLM, question, name, _WEIGHT_OF_LLM)] if name else []


def window_of(profile: SiteProfile) -> Window:
    """The page as a window that nobody had in front: the site, and what its page says of it as the title."""
    return Window("", f"https://{profile.site}/", profile.facts.text)


def _evidence(kind: EvidenceKind, question: Question, category: str, weight: float) -> SiteEvidence:
    return SiteEvidence(kind, question.title[:_SHOWN], category, weight)
