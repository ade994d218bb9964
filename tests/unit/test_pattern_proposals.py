"""What the LLM's answers suggest as patterns."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.categoryPattern import decisions
from domains.categoryPattern.model import CategoryPattern, Evidence, PatternKind, PatternProposal, ProposalStatus
from domains.kernel.window import Window
from domains.patternClassifier.learning import AnswerCounts, propose
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.proposing import ProposalLimits, Proposed, propose_patterns
from domains.patternClassifier.rules import RuleSet
from domains.pomodoro.model import CategorizedData
from domains.siteProfile.model import SiteProfile, SiteState
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryPatternProposalRepository,
)

Answer = tuple[Window, str]


def site(url: str, category: str, times: int = 20, title: str = "page {}") -> list[Answer]:
    return [(Window("Chrome", url, title.format(number)), category) for number in range(times)]


def app(name: str, category: str, times: int = 20) -> list[Answer]:
    return [(Window(name, "", f"document {number}"), category) for number in range(times)]


def counted(answers: Iterable[Answer], limit: int = 1000, privacy: Privacy | None = None) -> AnswerCounts:
    counts = AnswerCounts(privacy or Privacy(), limit)
    for key, category in answers:
        counts.add(key, category)
    return counts


def proposals(
    answers: Iterable[Answer],
    patterns: Sequence[CategoryPattern] = (),
    kept: Sequence[PatternProposal] = (),
    **options: Any,
) -> list[PatternProposal]:
    defaults = {"min_answers": 20, "min_share": 0.95}
    return propose(counted(answers), RuleSet(patterns), kept, **defaults | options)


def found(*args: Any, **options: Any) -> dict[str, str]:
    return {proposal.pattern: proposal.category for proposal in proposals(*args, **options)}


# What is counted


def test_a_host_is_proposed_with_its_evidence() -> None:
    answers = [
        *site("https://www.Study.com/a?q=1", "Education", 15),
        *site("https://study.com/b", "Education", 25, title="same"),
        *site("https://study.com/c", "Game", 1),
    ]

    (proposal,) = proposals(answers)

    assert (proposal.kind, proposal.pattern, proposal.category) == (PatternKind.DOMAIN, "study.com", "Education")
    assert proposal.status is ProposalStatus.PROPOSED
    evidence = proposal.evidence
    assert (evidence.answers, evidence.windows, evidence.others) == (40, 16, {"Game": 1})
    assert evidence.examples == ("study.com", "www.study.com")
    assert evidence.share == pytest.approx(40 / 41)


def test_an_app_is_proposed_as_most_people_see_it() -> None:
    answers = [*app("blockbench.exe", "Design", 5), *app("BlockBench", "Design", 6), *app("Blockbench", "Design", 9)]

    (proposal,) = proposals(answers)

    assert (proposal.kind, proposal.pattern, proposal.category) == (PatternKind.APP, "Blockbench", "Design")
    assert proposal.evidence.answers == 20
    assert proposal.evidence.examples == ("Blockbench", "BlockBench", "blockbench")


@pytest.mark.parametrize(
    ("seen", "pattern"),
    [
        (r"C:\Users\minjun\Foo Tool.exe", "Foo Tool"),
        ("/Users/minjun/Applications/Foo Tool.app", "Foo Tool"),
        ("\u200eFoo  Tool ", "Foo Tool"),
        ("각각", "각각"),
        ("TCP/IP Tool", "TCP/IP Tool"),
    ],
)
def test_the_name_of_an_app_holds_no_directories_and_no_oddities(seen: str, pattern: str) -> None:
    (proposal,) = proposals(app(seen, "Development"))

    assert proposal.pattern == pattern
    assert proposal.evidence.examples == (pattern,)


def test_a_window_with_a_url_says_nothing_about_its_app() -> None:
    assert found(site("https://study.com/", "Education")) == {"study.com": "Education"}


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7/a",
        "http://[2001:db8::1]:80/",
        "http://[::ffff:10.0.0.7]/",
        "http://localhost:3000/",
        "http://intranet/wiki",
        "http://nas.local/",
        "http://app.localhost/",
        "https://git.corp/",
        "https://wiki.private/",
        "http://expyuzz4wqqyqhjn.onion/",
        "https://docs.invalid/",
        "http://router.home.arpa/",
        "file:///home/minjun/a.html",
        "chrome://newtab",
        "data:text/html,a.com",
        "https://www./",
        "nonsense",
    ],
)
def test_no_address_and_no_private_place_is_proposed(url: str) -> None:
    assert found(site(url, "Education")) == {}


def test_what_is_private_by_the_settings_is_not_proposed_either() -> None:
    answers = [*site("https://kb.ours.com/", "Education"), *app("ACME Payroll 3", "Finance"), *app("Foo", "Design")]
    counts = counted(answers, privacy=Privacy(["ours.com"], ["ACME Payroll"]))

    assert [each.pattern for each in propose(counts, RuleSet([]), [], 20, 0.95)] == ["Foo"]


@pytest.mark.parametrize("name", ["", " ", "—", "x" * 600])
def test_a_name_without_words_is_not_proposed(name: str) -> None:
    assert found(app(name, "Design")) == {}


# Enough of it


@pytest.mark.parametrize(
    ("times", "others", "expected"), [(20, 1, True), (20, 2, False), (19, 0, False), (38, 2, True)]
)
def test_counts_and_share_decide(times: int, others: int, expected: bool) -> None:
    answers = site("https://study.com/", "Education", times) + site("https://study.com/", "Game", others)

    assert bool(found(answers)) is expected


@pytest.mark.parametrize("category", ["Uncategorized", "Communication", "Music"])
def test_a_category_that_has_no_patterns_is_not_proposed(category: str) -> None:
    assert found(app("Foo", category)) == {}


def test_what_the_rules_decide_is_not_proposed() -> None:
    patterns = [CategoryPattern("a" * 24, "Design", 1, ("Foo",), ("study.com", "docs.net/guide"))]
    answers = [
        *app("foo 2024", "Game"),
        *site("https://www.study.com/", "Game"),
        *site("https://docs.net/", "Documentation"),
    ]

    assert found(answers, patterns) == {"docs.net": "Documentation"}


def test_what_is_too_general_for_a_pattern_is_not_proposed() -> None:
    answers = site("https://co.kr/", "Browsing") + app("Editor", "Development") + app("Foo", "Development")

    assert found(answers) == {"Foo": "Development"}


# What a pattern would match besides


def test_a_parent_that_was_never_seen_is_not_proposed() -> None:
    answers = site("https://a.blogs.io/", "Education", 30) + site("https://b.blogs.io/", "Education", 19)

    assert found(answers) == {"a.blogs.io": "Education"}


def test_a_parent_that_was_hardly_seen_itself_is_not_proposed() -> None:
    answers = site("https://blogs.io/", "Education", 3) + site("https://a.blogs.io/", "Education", 19)

    assert found(answers) == {}


def test_a_host_below_which_answers_differ_is_not_proposed() -> None:
    answers = site("https://portal.com/", "Browsing", 30) + site("https://comic.portal.com/", "Entertainment", 30)

    assert found(answers) == {"comic.portal.com": "Entertainment"}


def test_much_below_a_host_does_not_outvote_the_host_itself() -> None:
    below = site("https://shop.portal.com/", "Finance", 1000)

    assert found([*below, *site("https://portal.com/", "Browsing")]) == {"shop.portal.com": "Finance"}
    mixed = site("https://portal.com/", "Finance", 20) + site("https://portal.com/", "Browsing", 5)
    assert found([*below, *mixed]) == {"shop.portal.com": "Finance"}


def test_what_a_rule_decides_below_a_host_does_not_speak_against_it() -> None:
    patterns = [CategoryPattern("a" * 24, "Entertainment", 1, (), ("comic.portal.com",))]
    answers = site("https://portal.com/", "Browsing", 30) + site("https://comic.portal.com/", "Entertainment", 30)

    assert found(answers, patterns) == {"portal.com": "Browsing"}


def test_a_host_that_its_parents_proposal_covers_is_not_proposed_too() -> None:
    answers = [
        *site("https://portal.com/", "Browsing", 600),
        *site("https://m.portal.com/", "Browsing", 20),
        *site("https://shop.portal.com/", "Finance", 60),
        *site("https://m.shop.portal.com/", "Browsing", 20),
    ]

    everything = proposals(answers, min_share=0.7)

    assert [(each.pattern, each.category) for each in everything] == [
        ("portal.com", "Browsing"),
        ("shop.portal.com", "Finance"),
        ("m.shop.portal.com", "Browsing"),
    ]
    assert (everything[0].evidence.answers, everything[0].evidence.others) == (640, {"Finance": 60})


def test_versions_speak_for_the_app_whose_pattern_matches_them() -> None:
    answers = app("Foo", "Design") + app("Foo 2024", "Design", 30) + app("Foo Fighter", "Game")

    everything = {proposal.pattern: proposal.evidence.answers for proposal in proposals(answers)}

    assert everything == {"Foo": 50, "Foo Fighter": 20}


# What was decided before


@pytest.mark.parametrize("status", [ProposalStatus.REJECTED, ProposalStatus.ACCEPTED])
def test_what_was_decided_comes_back_when_its_answers_double(status: ProposalStatus) -> None:
    kept = [replace(proposal, status=status) for proposal in proposals(app("Foo", "Design", 25))]

    assert found(app("Foo", "Design", 49), kept=kept) == {}
    assert found(app("Foo", "Design", 50), kept=kept) == {"Foo": "Design"}
    assert found(app("Foo", "Design", 25), kept=kept, again=True) == {"Foo": "Design"}
    assert found(app("Foo", "Game", 25), kept=kept) == {"Foo": "Game"}


def test_what_is_proposed_stays_proposed_under_its_id() -> None:
    kept = proposals(app("Foo", "Design", 20))

    (now,) = proposals(app("FOO", "Design", 22), kept=kept)

    assert (now.id, now.evidence.answers) == (kept[0].id, 22)


def test_below_a_rejected_host_others_are_proposed() -> None:
    answers = site("https://portal.com/", "Browsing") + site("https://m.portal.com/", "Browsing")
    (kept,) = proposals(answers)

    assert found(answers, kept=[replace(kept, status=ProposalStatus.REJECTED)]) == {"m.portal.com": "Browsing"}


# Any order, any amount

_KEYS = st.builds(
    Window,
    st.sampled_from(["Foo", "foo.exe", "Foo 2", "Bar", "bar"]),
    st.sampled_from(["", "", "https://a.com/x", "https://www.a.com", "https://b.a.com/", "https://c.b.a.com/"]),
    st.sampled_from(["", "t", "u"]),
)


@given(st.data(), st.lists(st.tuples(_KEYS, st.sampled_from(["Design", "Game"])), max_size=60))
def test_the_order_of_the_answers_does_not_matter(data: st.DataObject, answers: list[Answer]) -> None:
    shuffled = data.draw(st.permutations(answers))
    options = {"min_answers": 2, "min_share": 0.6}

    assert proposals(answers, **options) == proposals(shuffled, **options)


def test_beyond_the_limit_the_rare_ones_are_forgotten() -> None:
    answers = app("Foo", "Design", 20) + [
        answer for number in range(100) for answer in site(f"https://h{number}.com/", "Game", 1)
    ]
    counts = counted(answers, limit=10)

    assert len(counts.tallies) <= 10
    assert counts.forgotten == 101 - len(counts.tallies)
    assert [each.pattern for each in propose(counts, RuleSet([]), [], 20, 0.95)] == ["Foo"]


def test_many_windows_are_counted_up_to_a_thousand() -> None:
    (proposal,) = proposals(site("https://study.com/", "Education", 1500))

    assert (proposal.evidence.answers, proposal.evidence.windows) == (1500, 1000)


# What becomes of them


class Stores:
    def __init__(self) -> None:
        self.patterns = InMemoryCategoryPatternRepository([CategoryPattern("e" * 24, "Education")])
        self.proposals = InMemoryPatternProposalRepository()
        self.answers = InMemoryCategorizedDataRepository()

    async def answer(self, host: str, count: int, category_id: str = "e" * 24) -> None:
        windows = [Window("Chrome", f"https://{host}", f"page {number}") for number in range(count)]
        numbers = range(len(self.answers.documents), len(self.answers.documents) + count)
        await self.answers.save_all(
            [
                CategorizedData(f"{number:024x}", window, category_id, True)
                for number, window in zip(numbers, windows, strict=True)
            ]
        )

    async def propose(self, **limits: Any) -> Proposed:
        chosen = ProposalLimits(20, 0.95, auto_accept=False)._replace(**limits)
        return await propose_patterns(self.answers, self.patterns, self.proposals, Privacy(), chosen)


@pytest.fixture
def stores() -> Stores:
    return Stores()


async def test_what_is_proposed_is_kept_and_counted(stores: Stores) -> None:
    await stores.answer("study.com", 20)
    await stores.answer("gone.com", 3, category_id="f" * 24)

    first, second = await stores.propose(), await stores.propose()

    assert first == Proposed(await stores.proposals.find_all(), 1, 0, answers=23, unknown=3, forgotten=0)
    assert (second.new, second.withdrawn) == (0, 0)


async def test_what_has_no_longer_enough_in_its_favour_is_withdrawn(stores: Stores) -> None:
    await stores.answer("study.com", 20)
    await stores.propose()

    assert (await stores.propose(min_answers=21)).withdrawn == 1
    assert await stores.proposals.find_all() == []


async def test_what_is_proposed_can_be_accepted_at_once(stores: Stores) -> None:
    await stores.answer("study.com", 20)

    (accepted,) = (await stores.propose(auto_accept=True)).proposals

    assert accepted.status is ProposalStatus.ACCEPTED
    assert [pattern.domain_patterns for pattern in await stores.patterns.find_all()] == [("study.com",)]


async def test_an_unknown_id_is_named(stores: Stores) -> None:
    await stores.answer("study.com", 20)
    (known,) = (await stores.propose()).proposals

    with pytest.raises(decisions.NoSuchProposal) as fault:
        await decisions.find([known.id, "0a", "0b"], stores.proposals)

    assert fault.value.ids == ["0a", "0b"]
    assert await decisions.find([known.id, known.id], stores.proposals) == [known]


async def test_beside_an_accepted_one_none_is_rejected(stores: Stores) -> None:
    await stores.answer("study.com", 20)
    await stores.propose(auto_accept=True)
    await stores.answer("school.com", 20)
    await stores.propose()

    with pytest.raises(decisions.AlreadyAccepted):
        await decisions.reject(await stores.proposals.find_all(), stores.proposals)

    assert [it.pattern for it in await decisions.find_waiting(stores.proposals)] == ["school.com"]
    assert await decisions.find_waiting(stores.proposals, min_answers=21) == []


# What sites say of themselves


def profiled(site: str, category: str, confidence: float) -> SiteProfile:
    return SiteProfile(site, 0.0, SiteState.CONCLUDED, category=category, confidence=confidence)


def proposed_with(
    counts: AnswerCounts, *sites: SiteProfile, kept: Sequence[PatternProposal] = ()
) -> dict[str, Evidence]:
    found = propose(counts, RuleSet([]), kept, 20, 0.95, sites=sites)
    return {proposal.pattern: proposal.evidence for proposal in found}


def test_a_page_that_is_sure_leads_to_a_proposal_without_an_answer() -> None:
    found = proposed_with(
        AnswerCounts(Privacy()), profiled("study.com", "Education", 0.9), profiled("a.io", "Game", 0.8)
    )

    assert found == {"study.com": Evidence(0, 0, {}, ("study.com",), 0.9)}


def test_a_page_confirms_what_answers_propose_and_contradicts_nothing() -> None:
    counts = AnswerCounts(Privacy())
    for _ in range(20):
        counts.add(Window("Chrome", "https://study.com/", "t"), "Education")
        counts.add(Window("Chrome", "https://play.io/", "t"), "Game")
    counts.add(Window("Chrome", "https://few.io/", "t"), "SNS")

    sites = [
        profiled("study.com", "Education", 0.9),
        profiled("play.io", "SNS", 0.9),
        profiled("few.io", "Game", 0.9),
    ]
    found = proposed_with(counts, *sites)

    assert {pattern: evidence.site for pattern, evidence in found.items()} == {"play.io": 0.0, "study.com": 0.9}


def test_a_rejected_proposal_of_a_page_does_not_come_back() -> None:
    site = profiled("study.com", "Education", 0.9)
    (first,) = propose(AnswerCounts(Privacy()), RuleSet([]), (), 20, 0.95, sites=[site])
    rejected = replace(first, status=ProposalStatus.REJECTED)

    assert proposed_with(AnswerCounts(Privacy()), site, kept=[rejected]) == {}


def test_private_sites_known_ones_and_categories_without_patterns_are_not_proposed() -> None:
    rules = RuleSet([CategoryPattern("1" * 24, "SNS", domain_patterns=("known.com",))])
    sites = [profiled(site, "Game", 0.9) for site in ("known.com", "secret.kr")] + [profiled("a.io", "Music", 0.9)]

    assert propose(AnswerCounts(Privacy(hosts=["secret.kr"])), rules, (), 20, 0.95, sites=sites) == []


async def test_what_rests_on_a_page_alone_is_never_accepted_without_a_person(stores: Stores) -> None:
    async def sites() -> AsyncIterator[SiteProfile]:
        yield profiled("page.io", "Education", 0.9)

    await stores.answer("study.com", 20)
    limits = ProposalLimits(20, 0.95, auto_accept=True)
    found = await propose_patterns(
        stores.answers, stores.patterns, stores.proposals, Privacy(), limits, sites=sites()
    )

    assert {it.pattern: it.status for it in found.proposals} == {
        "study.com": ProposalStatus.ACCEPTED,
        "page.io": ProposalStatus.PROPOSED,
    }
    assert [pattern.domain_patterns for pattern in await stores.patterns.find_all()] == [("study.com",)]
