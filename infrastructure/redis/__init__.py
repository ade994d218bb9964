"""Adapters on Redis."""

from infrastructure.process.spared_imports import without

with without("opentelemetry"):  # for figures of its own; `observing/tracing.py` loads it where traces are wanted
    import redis.asyncio  # noqa: F401
