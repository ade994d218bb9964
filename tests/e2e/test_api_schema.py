"""The API of a real process against its own description, by right and wrong questions that schemathesis makes up."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from infrastructure.composition.container import running_container
from infrastructure.http import openapi
from infrastructure.settings import Settings
from tests.e2e.conftest import Places
from tests.e2e.processes import jsonl, until
from tests.e2e.test_watching import checks
from tests.messages import message
from tests.servers import free_port

TOKEN = "correct horse battery staple"


def described() -> dict[str, Any]:
    """Building the handlers connects to nothing."""

    async def build() -> dict[str, Any]:
        async with running_container(Settings(redis_addr="127.0.0.1:1")) as container:
            return openapi.document(container.api().endpoints)

    return asyncio.run(build())


schema = schemathesis.openapi.from_dict(described())


@pytest.fixture(scope="module")
def address(shared_place: Places) -> str:
    """Of a pipeline with a few users on its boards and a dead letter."""
    port = free_port()
    pipeline = shared_place(HTTP_PORT=str(port), ADMIN_TOKEN=TOKEN)
    pipeline.consumer()
    published = [*(message(userId=f"user-{n}") for n in range(30)), message(duration="-1")]
    pipeline.run("publish", "-", input=jsonl(*published))
    until(lambda: checks(port)["status"] == 200, "it is ready")
    return f"http://127.0.0.1:{port}"


@pytest.mark.filterwarnings("default")
@schema.exclude(path="/api/events").parametrize()
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_it_keeps_to_its_description(case: schemathesis.Case, address: str) -> None:
    case.call_and_validate(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)
