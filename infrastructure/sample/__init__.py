"""The bundled sample: one made-up week of 40 users, for a first run without a Spring server."""

from infrastructure.sample.week import SAMPLE_START, SampleSpan, sample_week

__all__ = ["SAMPLE_START", "SampleSpan", "sample_week"]
