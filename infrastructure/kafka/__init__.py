"""Events in Kafka. Needs the extra `kafka`."""
