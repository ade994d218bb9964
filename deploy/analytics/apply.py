"""Brings Druid and Superset to what this directory says: supervisor, database, dataset, charts and dashboards.

SUPERSET_PASSWORD=… python deploy/analytics/apply.py --kafka kafka:9092 --overlord http://druid:8081 \
  --superset http://superset:8088 --druid-sql druid://druid:8082/druid/v2/sql/

It needs nothing but Python, and may be run again at any time. Superset never removes what a bundle no longer has:
charts on our dataset, and dashboards whose address begins with "pomocore-", that are not in this bundle are deleted.
"""

import argparse
import io
import json
import os
import re
import sys
import uuid
import zipfile
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener

HERE = Path(__file__).parent
BUNDLE = HERE / "superset"
_UUID = re.compile(r"^uuid: '?([0-9a-f-]{36})'?$", re.MULTILINE)
_URI = re.compile(r"^sqlalchemy_uri: .*$", re.MULTILINE)


class Http:
    """JSON over HTTP, with cookies, and the same headers in all requests."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self.headers: dict[str, str] = {}

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        headers = {**self.headers, **({"Content-Type": kind} if body is not None else {})}
        request = Request(self._base + path, body, headers, method=method)  # noqa: S310 - an operator names it
        try:
            with self._opener.open(request, timeout=120) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            sys.exit(f"{method} {self._base}{path}: {error.code} {error.read().decode('utf-8', 'replace')[:2000]}")


def apply_supervisor(overlord: str, kafka: str) -> str:
    """Submits the spec; Druid replaces the supervisor if it has changed. Returns the supervisor's name."""
    spec = (HERE / "druid" / "pomocore-spans.json").read_text().replace("${KAFKA_BOOTSTRAP_SERVERS}", kafka)
    answer = Http(overlord).call("POST", "/druid/indexer/v1/supervisor", spec.encode())
    return str(answer["id"])


def bundle(druid_sql: str) -> bytes:
    """The directory as Superset imports it, with the address of Druid in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(BUNDLE.rglob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            if path.parent.name == "databases":
                text = _URI.sub(f"sqlalchemy_uri: {druid_sql}", text)
            archive.writestr(f"pomocore/{path.relative_to(BUNDLE)}", text)
    return packed.getvalue()


def uuids(kind: str) -> set[str]:
    return {_UUID.findall(path.read_text(encoding="utf-8"))[-1] for path in (BUNDLE / kind).rglob("*.yaml")}


class Superset:
    def __init__(self, address: str, user: str, password: str) -> None:
        self._http = Http(address)
        login = {"username": user, "password": password, "provider": "db", "refresh": False}
        token = self._http.call("POST", "/api/v1/security/login", json.dumps(login).encode())["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        csrf = self._http.call("GET", "/api/v1/security/csrf_token/")["result"]
        self._http.headers |= {"X-CSRFToken": csrf, "Referer": address}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self._http.call(method, path, None if body is None else json.dumps(body).encode())

    def load(self, packed: bytes) -> None:
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="bundle"; filename="pomocore.zip"\r\n'
        body = f"{head}Content-Type: application/zip\r\n\r\n".encode() + packed + f"\r\n--{boundary}--\r\n".encode()
        self._http.call("POST", "/api/v1/assets/import/", body, f"multipart/form-data; boundary={boundary}")

    def all(self, kind: str, columns: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/api/v1/{kind}/?q=(columns:!({columns}),page_size:1000)")["result"])

    def prune(self) -> int:
        """Deletes what is ours and no longer in the bundle. Returns how much that was."""
        ours = uuids("charts")
        charts = [
            chart["id"]
            for chart in self.all("chart", "id,uuid,datasource_name_text")
            if (chart.get("datasource_name_text") or "").endswith("pomocore_spans") and chart["uuid"] not in ours
        ]
        ours = uuids("dashboards")
        dashboards = [
            each["id"]
            for each in self.all("dashboard", "id,uuid,slug")
            if (each.get("slug") or "").startswith("pomocore-") and each["uuid"] not in ours
        ]
        for kind, ids in (("dashboard", dashboards), ("chart", charts)):
            if ids:
                self.call("DELETE", f"/api/v1/{kind}/?q=!({','.join(map(str, ids))})")
        return len(charts) + len(dashboards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", help="host:port of brokers, as Druid reaches them")
    parser.add_argument("--overlord", help="address of Druid's overlord (or router)")
    parser.add_argument("--superset", help="address of Superset")
    parser.add_argument(
        "--druid-sql", default="druid://druid:8082/druid/v2/sql/", help="Druid, as Superset reaches it"
    )
    parser.add_argument("--user", default="admin", help="user of Superset; SUPERSET_PASSWORD has the password")
    options = parser.parse_args()
    if options.overlord:
        print(
            f"Druid: supervisor {apply_supervisor(options.overlord, options.kafka or sys.exit('--kafka is needed'))}"
        )
    if options.superset:
        superset = Superset(options.superset, options.user, os.environ.get("SUPERSET_PASSWORD", "admin"))
        superset.load(bundle(options.druid_sql))
        charts, dashboards = len(uuids("charts")), len(uuids("dashboards"))
        print(f"Superset: {charts} charts, {dashboards} dashboards; {superset.prune()} removed")


if __name__ == "__main__":
    main()
