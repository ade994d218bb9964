"""What the users of a load test do; see bench.load. Locust runs it in a venv of its own."""

import os
import random
import time

from locust import HttpUser, constant_throughput, task

COLLECTOR, CONSOLE = os.environ["LOAD_COLLECTOR"], os.environ["LOAD_CONSOLE"]
APPS = ["Visual Studio Code", "Figma", "Slack", "Steam", "카카오톡"]


class Client(HttpUser):
    """Posts a span, and is answered when it is on disk."""

    host = COLLECTOR
    weight = 4
    wait_time = constant_throughput(float(os.environ["LOAD_POSTS"]))

    @task
    def post(self) -> None:
        now = time.time()
        span = {
            "userId": f"load-{random.randrange(500)}",
            "app": random.choice(APPS),
            "duration": 30,
            "timestamp": now - 30,
            "session": 1,
            "sessionDate": time.strftime("%Y-%m-%d", time.gmtime(now + 9 * 3600)),
        }
        self.client.post("/collect", json=span)


class Operator(HttpUser):
    """Looks at a board and at the state."""

    host = CONSOLE
    weight = 1
    wait_time = constant_throughput(1)

    @task
    def look(self) -> None:
        self.client.get("/api/boards/work", name="/api/boards/{category}")
        self.client.get("/api/state")
