"""What other instances have told of themselves."""

from aiohttp import web
from pydantic import ValidationError

from domains.operations.ports import InstanceSnapshotsPort
from infrastructure.http import schemas


class OtherInstances:
    def __init__(self, own_name: str, snapshots: InstanceSnapshotsPort) -> None:
        self._own_name = own_name
        self._snapshots = snapshots

    async def snapshot(self, name: str | None) -> schemas.InstanceSnapshot | None:
        """None for the answering instance. Raises HTTPNotFound where nobody of that name has told lately."""
        if name is None or name == self._own_name:
            return None
        text = await self._snapshots.get(name)
        try:
            return schemas.InstanceSnapshot.model_validate_json(text or "")
        except ValidationError:  # also of what somebody else has written there
            raise web.HTTPNotFound(text="there is no such instance; /api/system has them all") from None
