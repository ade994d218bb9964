"""The archive read again, on this machine or by Spark."""
