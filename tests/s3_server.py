"""A small S3 server for tests that stores objects as files: PUT with If-None-Match, GET, and lists.

python -m tests.s3_server PORT DIRECTORY
"""

import sys
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web


def make_app(root: Path) -> web.Application:
    def path_of(request: web.Request) -> Path:
        return root / request.match_info["bucket"] / request.match_info["key"]

    async def put(request: web.Request) -> web.Response:
        path = path_of(request)
        if request.headers.get("If-None-Match") == "*" and path.exists():
            return web.Response(status=412, body=_error("PreconditionFailed"), content_type="application/xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(await request.read())
        unfinished.rename(path)
        return web.Response(headers={"ETag": '"1"'})

    async def get(request: web.Request) -> web.StreamResponse:
        if not path_of(request).is_file():
            return web.Response(status=404, body=_error("NoSuchKey"), content_type="application/xml")
        headers = {"ETag": '"1"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
        return web.Response(body=path_of(request).read_bytes(), headers=headers)

    async def listing(request: web.Request) -> web.Response:
        bucket, prefix = root / request.match_info["bucket"], request.query.get("prefix", "")
        within = bucket / prefix.rpartition("/")[0]  # thousands of objects may lie elsewhere
        keys = sorted(str(path.relative_to(bucket)) for path in within.rglob("*") if path.is_file())
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified>"
            f'<ETag>"1"</ETag><Size>{(bucket / key).stat().st_size}</Size></Contents>'
            for key in keys
            if key.startswith(prefix) and not key.endswith(".unfinished")
        )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        return web.Response(text=text, content_type="application/xml")

    app = web.Application(client_max_size=2**28)
    app.router.add_get("/{bucket}", listing)
    app.router.add_get("/{bucket}/", listing)
    app.router.add_put("/{bucket}/{key:.+}", put)
    app.router.add_get("/{bucket}/{key:.+}", get)
    return app


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


if __name__ == "__main__":
    web.run_app(make_app(Path(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), print=None)
