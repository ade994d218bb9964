"""Events in a DuckDB file, for a laptop and for deployments without Kafka. Needs the extra `duckdb`."""
