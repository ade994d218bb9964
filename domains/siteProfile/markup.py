"""What the standard vocabularies of pages say of a site's category.

A name that may stand for several of our categories (`business`, `Organization`, `article`) is in no table: it would
only hide that nothing is known. A weight is the confidence in the category if there is no other evidence.
"""

from collections.abc import Iterable, Iterator, Mapping

from domains.siteProfile.model import EvidenceKind, PageFacts, SiteEvidence

_SHOPPING, _SYSTEM = "E-commerce & Shopping", "System & Utilities"


def _table(categories: Mapping[str, str]) -> dict[str, str]:
    return {_folded(name): category for category, names in categories.items() for name in names.split()}


def _folded(name: str) -> str:
    return name.rpartition("/")[2].rpartition(":")[2].replace("-", "").replace("_", "").replace(" ", "").casefold()


MANIFEST_CATEGORIES = _table(
    {
        "Education": "education books",
        "Entertainment": "entertainment music comics video sports",
        "Finance": "finance",
        "Game": "games game",
        _SHOPPING: "shopping food travel",
        "SNS": "social dating",
        "Productivity": "productivity",
        _SYSTEM: "utilities security personalization",
        "Development": "devtools developer developertools",
        "Design": "design photo graphics",
        "Browsing": "news weather government navigation magazines",
    }
)
"""W3C's list of categories for web app manifests, and what else is in use."""

APPLICATION_CATEGORIES = _table(
    {
        "Game": "GameApplication Game Games",
        "SNS": "SocialNetworkingApplication",
        "Entertainment": "EntertainmentApplication ComicsApplication SportsApplication Entertainment",
        _SHOPPING: "ShoppingApplication TravelApplication Shopping",
        "Development": "DeveloperApplication DeveloperTools",
        "Design": "DesignApplication Design",
        "Education": "EducationalApplication ReferenceApplication Education",
        "Finance": "FinanceApplication Finance",
        "Browsing": "BrowserApplication",
        _SYSTEM: "UtilitiesApplication SecurityApplication DriverApplication DesktopEnhancementApplication Utilities",
        "Productivity": "ProductivityApplication Productivity",
    }
)
"""Values of schema.org's `applicationCategory`."""

JSON_LD_TYPES = _table(
    {
        _SHOPPING: "Store OnlineStore Product ProductGroup Offer AggregateOffer ClothingStore ElectronicsStore "
        "FurnitureStore GroceryStore ShoeStore BookStore Restaurant FoodEstablishment Hotel LodgingBusiness "
        "TravelAgency Airline",
        "Game": "VideoGame VideoGameSeries GameServer",
        "Education": "EducationalOrganization CollegeOrUniversity School HighSchool ElementarySchool "
        "Course CourseInstance LearningResource Quiz",
        "Finance": "FinancialService BankOrCreditUnion InsuranceAgency AccountingService FinancialProduct "
        "LoanOrCredit BankAccount InvestmentFund",
        "Entertainment": "Movie MovieTheater TVSeries TVEpisode VideoObject MusicAlbum MusicRecording MusicGroup "
        "RadioStation TelevisionStation ComicSeries ComicStory SportsTeam SportsEvent",
        "SNS": "DiscussionForumPosting SocialMediaPosting",
        "Development": "SoftwareSourceCode",
        "Documentation": "TechArticle APIReference",
        "Browsing": "NewsMediaOrganization NewsArticle GovernmentOrganization GovernmentService WeatherForecast",
        "Productivity": "JobPosting EmploymentAgency",
    }
)

OPEN_GRAPH_TYPES = _table(
    {
        "Entertainment": "video video.movie video.episode video.tv_show video.other music music.song music.album "
        "music.playlist music.radio_station movie tv_show song album",
        _SHOPPING: "product product.group product.item og:product restaurant restaurant.restaurant hotel",
        "Game": "game video_game",
    }
)

_WEIGHTS = {EvidenceKind.MANIFEST: 0.85, EvidenceKind.JSON_LD: 0.75, EvidenceKind.OPEN_GRAPH: 0.6}


def evidence_of_markup(facts: PageFacts) -> Iterator[SiteEvidence]:
    """The evidence in a page's markup, the strongest kind first, and each category once a kind."""
    yield from _of(EvidenceKind.MANIFEST, facts.manifest, MANIFEST_CATEGORIES)
    yield from _of(
        EvidenceKind.JSON_LD, (*facts.applications, *facts.json_ld), JSON_LD_TYPES | APPLICATION_CATEGORIES
    )
    yield from _of(EvidenceKind.OPEN_GRAPH, [facts.open_graph_type], OPEN_GRAPH_TYPES)


def _of(kind: EvidenceKind, names: Iterable[str], table: Mapping[str, str]) -> Iterator[SiteEvidence]:
    found: dict[str, list[str]] = {}
    for name in names:
        if category := table.get(_folded(name)):
            found.setdefault(category, []).append(name)
    for category, said in found.items():
        yield SiteEvidence(kind, ", ".join(said), category, _WEIGHTS[kind])
