"""All that is kept of a user, wherever it is."""

from collections.abc import Iterator

from domains.activityEvent.model import EventMaker
from domains.pomodoro.model import Commit
from domains.userData.ports import PersonalDataPort
from domains.userData.service import UserCards, UserCorrections, UserData, UserDocuments
from infrastructure.collector.personal_data import CollectedPersonalData
from infrastructure.composition import from_settings
from infrastructure.composition.collector import archive_of
from infrastructure.composition.container import Container
from infrastructure.duckdb.personal_data import DuckDbPersonalData
from infrastructure.redis.personal_data import RedisPersonalData, rewrite_file
from infrastructure.settings import Settings

_KAFKA = "Kafka: events under a pseudonym, as long as the topic keeps them"
_SPRING = "what Spring keeps in collections and tables of its own"


def user_data_of(container: Container) -> UserData:
    return UserData([*_stores(container)])


def _stores(container: Container) -> Iterator[PersonalDataPort]:
    settings = container.settings()
    yield CollectedPersonalData(archive_of(settings), settings.collect_dir or settings.data_dir / "collector")
    yield UserDocuments(container.personal_documents())

    async def settle() -> None:
        if from_settings.boards_elsewhere(settings):  # scores may be on their way to their boards
            for partition in container.partitions():
                await partition.commits().commit(Commit())

    keys, queues = container.partition_keys(), container.queue_keys()
    yield RedisPersonalData(container.redis(), keys, queues, settings.key_prefix, settle)
    yield UserCorrections(container.correction_store())
    yield UserCards(container.focus_cards())
    if settings.analytics_path.exists():
        yield DuckDbPersonalData(settings.analytics_path, lambda user: _maker(container).pseudonym(user))


def _maker(container: Container) -> EventMaker:
    return container.event_maker()


def elsewhere(container: Container) -> list[str]:
    """Places that cannot be looked into from here, in words."""
    settings = container.settings()
    places = [_SPRING] if settings.mongo_uri is not None else []
    return [*places, *([_KAFKA] if settings.kafka_bootstrap_servers else [])]


async def forget_files(container: Container, settings: Settings) -> None:
    """Leaves nothing of what was erased in the files of the embedded stores, those of `settings`.

    Raises Outage.
    """
    if settings.embeds_store:
        await container.sqlite().forget()
    if settings.embeds_redis:
        await rewrite_file(container.redis())
