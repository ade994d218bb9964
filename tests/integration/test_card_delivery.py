"""Focus cards over HTTP and by webhooks: who gets to see what, and nothing is posted twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from domains.focusCard.model import CardKey, StoredCard
from domains.focusCard.ports import CardObserver
from domains.leaderboard.model import Period
from infrastructure.cards import webhooks
from infrastructure.cards.webhooks import CardWebhooks, Webhook, webhooks_of
from infrastructure.collector.tokens import Tokens
from infrastructure.composition.container import drain_cards, running_container
from infrastructure.http import cards as http_cards
from infrastructure.http.server import make_app
from infrastructure.memory.focus_cards import InMemoryCardRuns, InMemoryFocusCardStore
from infrastructure.settings import Settings
from tests.unit.test_card_rendering import CARDS

KEY, ADMIN = "a key for the tokens of clients", "correct horse battery staple"
MONDAY = date(2025, 9, 1)


def stored(card: dict[str, object] = CARDS[1], user: str = "mina", revision: int = 7) -> StoredCard:
    return StoredCard(CardKey(user, Period.WEEK, MONDAY), revision, "s", {**card, "user": user})


async def serving(settings: Settings) -> AsyncIterator[TestClient]:
    async with running_container(settings) as container:
        await container.focus_cards().put([stored(), stored(user="김민수")])
        async with TestClient(TestServer(make_app(container.state(), container.api()))) as client:
            yield client


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[TestClient]:
    secrets = {"admin_token": ADMIN, "collect_token_key": KEY}
    async for client in serving(Settings(**{**settings.model_dump(exclude_unset=True), **secrets})):
        yield client


@pytest.fixture
async def own_machine(settings: Settings) -> AsyncIterator[TestClient]:
    async for client in serving(settings):
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


CARD = "/api/users/mina/card?period=week&date=2025-09-03"


@pytest.mark.parametrize("path", [CARD, "/api/users/mina/day", "/users/mina"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer(ADMIN), 200),
        (bearer(Tokens([KEY]).token_for("mina")), 200),
        (bearer(Tokens([KEY]).token_for("other")), 403),
        (bearer(Tokens(["another key, of somebody else"]).token_for("mina")), 401),
    ],
)
async def test_a_card_is_for_its_user_and_for_administrators(
    client: TestClient, path: str, headers: dict[str, str], status: int
) -> None:
    assert (await client.get(path, headers=headers)).status == status


async def test_a_users_own_token_is_known_and_is_no_wrong_one(client: TestClient) -> None:
    for _ in range(4):
        told = await client.get("/api/access", headers=bearer(Tokens([KEY]).token_for("mina")))
        assert await told.json() == {"changes": "locked", "user": "mina", "usersHaveTokens": True}
        assert (await client.get("/api/dead-letters", headers=bearer(Tokens([KEY]).token_for("mina")))).status == 200

    assert (await (await client.get("/api/access", headers=bearer(ADMIN))).json())["changes"] == "open"
    refused = await client.post("/api/tasks", json={}, headers=bearer(Tokens([KEY]).token_for("mina")))
    assert refused.status == 401


@pytest.mark.parametrize("path", ["/api/users/mina/card", "/api/users/mina/day", "/users/mina"])
@pytest.mark.parametrize("day", ["1970-12-31", "9000-01-01"])
async def test_a_day_outside_the_years_of_cards_is_refused_in_words(client: TestClient, path: str, day: str) -> None:
    refused = await client.get(path, params={"date": day}, headers=bearer(ADMIN))
    assert (refused.status, "cards are from 1971 to 8999" in await refused.text()) == (404, True)


async def test_on_ones_own_machine_all_cards_are_ones_own(own_machine: TestClient) -> None:
    found = await own_machine.get(CARD)
    assert (found.status, (await found.json())["focus_seconds"]) == (200, CARDS[1]["focus_seconds"])
    page = await own_machine.get("/users/mina?date=2025-09-03&lang=ko")
    assert (page.status, page.content_type) == (200, "text/html")
    assert (await own_machine.get("/users/mina?date=yesterday")).status == 400


async def test_an_unchanged_card_is_neither_rendered_nor_sent_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await client.get(CARD, headers=bearer(ADMIN))
    known = {**bearer(ADMIN), "If-None-Match": first.headers["ETag"]}
    monkeypatch.delitem(http_cards._RENDERED, "json")

    again = await client.get(CARD, headers=known)
    assert (again.status, again.headers["ETag"]) == (304, first.headers["ETag"])
    assert (await client.get(f"{CARD}&lang=ko&format=text", headers=known)).status == 200


@pytest.mark.parametrize(
    ("format", "kind"),
    [("adaptive", "AdaptiveCard"), ("slack", "blocks"), ("json", "focus_seconds"), ("text", "Week 36")],
)
async def test_every_format_can_be_asked_for(client: TestClient, format: str, kind: str) -> None:
    found = await client.get(f"{CARD}&format={format}", headers=bearer(ADMIN))
    assert kind in await found.text()


async def test_a_user_may_have_any_name(client: TestClient) -> None:
    headers = bearer(Tokens([KEY]).token_for("김민수"))
    found = await client.get(
        "/api/users/%EA%B9%80%EB%AF%BC%EC%88%98/card?period=week&date=2025-09-03", headers=headers
    )
    assert (await found.json())["user"] == "김민수"


@pytest.mark.parametrize("path", ["/api/users/{}/card", "/users/{}", "/api/boards/work/users/{}"])
async def test_a_user_may_have_braces_in_their_name(client: TestClient, path: str) -> None:
    assert (await client.get(path.format("a%7Bb%7D%2Fc"), headers=bearer(ADMIN))).status == 200


async def test_a_run_can_be_seen_as_it_goes(settings: Settings) -> None:
    async with (
        running_container(settings.model_copy(update={"claim_idle_ms": 60_000})) as container,
        TestClient(TestServer(make_app(container.state(), container.api()))) as client,
    ):
        assert await (await client.get("/api/cards/run")).json() == {
            **dict.fromkeys(("run", "started", "lastEnd")),
            **dict.fromkeys(("users", "written", "unchanged", "boardsLeft", "chunksLeft", "workers"), 0),
            "underWay": False,
            "days": [],
        }
        run = await container.card_runs().start(MONDAY)
        seen = await (await client.get("/api/cards/run")).json()
        assert (seen["underWay"], seen["run"], seen["days"]) == (True, run.id, ["2025-09-01"])
        assert seen["boardsLeft"] > 20
        assert seen["workers"] == 0
        await container.card_boards_queue().take(1)
        assert (await (await client.get("/api/cards/run")).json())["workers"] == 1

        await drain_cards(container)

        seen = await (await client.get("/api/cards/run")).json()
        assert (seen["underWay"], seen["lastEnd"] > run.started) == (False, True)


# Webhooks


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, list[int], list[dict[str, object]]]]:
    """Its address, the codes with which it will answer (0: none; 200 at the end), and what it got."""
    codes, got = list[int](), list[dict[str, object]]()

    async def take(request: web.Request) -> web.Response:
        got.append(await request.json())
        code = codes.pop(0) if codes else 200
        if not code and request.transport:
            request.transport.close()
        return web.Response(status=code or 200)

    app = web.Application()
    app.router.add_post("/hook", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/hook")), codes, got


async def hooks(*webhooks: Webhook, runs: InMemoryCardRuns | None = None) -> CardWebhooks:
    store = InMemoryFocusCardStore()
    await store.put([stored()])
    return CardWebhooks(webhooks, store, runs or InMemoryCardRuns(), CardObserver(), "ko", first_delay=0.01)


async def test_a_webhook_gets_the_best_card_once_without_what_is_private(receiver) -> None:  # type: ignore[no-untyped-def]
    url, codes, got = receiver
    codes += [503, 500]
    posting = await hooks(Webhook("teams", url))

    assert (await posting.post_week(MONDAY))["posted"] == 1
    assert (await posting.post_week(MONDAY))["posted"] == 0

    assert len(got) == 3
    assert got[-1]["attachments"][0]["content"]["type"] == "AdaptiveCard"
    assert "docs" not in str(got[-1])


async def test_what_nobody_took_can_be_asked_for_again(receiver) -> None:  # type: ignore[no-untyped-def]
    url, codes, got = receiver
    codes += [503, 503, 503]
    posting = await hooks(Webhook("slack", url))

    assert (await posting.post_week(MONDAY))["posted"] == 0
    assert (await posting.post_week(MONDAY))["posted"] == 1
    assert "blocks" in got[-1]


async def test_a_refusal_is_not_tried_again_by_itself(receiver) -> None:  # type: ignore[no-untyped-def]
    url, codes, got = receiver
    codes += [404]
    posting = await hooks(Webhook("slack", url))
    assert (await posting.post_week(MONDAY))["outcomes"] == ["1. 127.0.0.1: refused with 404"]
    assert len(got) == 1

    assert (await posting.post_week(MONDAY))["posted"] == 1
    assert (await posting.post_week(MONDAY))["outcomes"] == ["1. 127.0.0.1: posted before"]


async def test_a_stop_before_the_next_try_loses_no_post(receiver, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    url, codes, _ = receiver
    codes += [503]
    posting = await hooks(Webhook("slack", url))

    def stop(*_: object) -> float:
        stopped.cancel()
        return 3600.0

    with monkeypatch.context() as patched:
        patched.setattr(webhooks, "backoff", stop)
        stopped = asyncio.create_task(posting.post_week(MONDAY))
        with pytest.raises(asyncio.CancelledError):
            await stopped

    assert (await posting.post_week(MONDAY))["posted"] == 1


async def test_what_may_have_been_posted_is_not_said_to_be(receiver) -> None:  # type: ignore[no-untyped-def]
    url, codes, _ = receiver
    codes += [0]
    posting = await hooks(Webhook("slack", url))
    await posting.post_week(MONDAY)
    assert (await posting.post_week(MONDAY))["outcomes"] == ["1. 127.0.0.1: may have been posted before"]


async def test_a_mark_stays_until_it_is_taken_away(settings: Settings) -> None:
    async with running_container(settings) as container:
        for runs in (container.card_run_notes(), InMemoryCardRuns()):
            assert [await runs.mark("a"), await runs.mark("a"), await runs.is_marked("a")] == [True, False, True]
            await runs.unmark("a")
            assert not await runs.is_marked("a")


def test_which_service_a_webhook_is_of() -> None:
    found = webhooks_of("https://hooks.slack.com/services/x, https://x.webhook.office.com/y=1,slack=http://inside/z")
    assert [hook.kind for hook in found] == ["slack", "teams", "slack"]
    assert found[1].url.endswith("y=1")
    with pytest.raises(ValueError, match="must be"):
        webhooks_of("slack=secret")
