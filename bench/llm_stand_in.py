"""An LLM that answers after two seconds, hangs, or gives unusable answers.

python -m bench.llm_stand_in MODE    prints its port and its control port, serves until it is killed

The control port answers each connection with the number of requests.
"""

import asyncio
import json
import sys

from aiohttp import web

_SECONDS = 2.0


class Stand:
    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._requests = 0

    async def serve(self) -> None:
        application = web.Application(client_max_size=1 << 24)
        application.router.add_post("/v1/chat/completions", self._complete)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        control = await asyncio.start_server(self._tell, "127.0.0.1", 0)
        print(runner.addresses[0][1], control.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

    async def _complete(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self._requests += 1
        if self._mode == "500":
            return web.Response(status=500)
        await asyncio.sleep(3600 if self._mode == "hangs" else _SECONDS)
        windows = json.loads(asked["messages"][-1]["content"])
        said = {
            "prose": "Gladly! These look like a busy day at work.",
            "lies": json.dumps({"answers": [{"nr": 1, "kind": "Cooking"}]}),
        }
        answers = [{"number": window["number"], "category": "Productivity"} for window in windows]
        content = said.get(self._mode) or json.dumps({"answers": answers})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        usage = {"total_tokens": 100 * len(windows), "prompt_tokens": 0, "completion_tokens": 0}
        completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "stand-in"}
        return web.json_response(completion | {"choices": [choice], "usage": usage})

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(self._requests).encode())
        writer.close()


if __name__ == "__main__":
    asyncio.run(Stand(sys.argv[1]).serve())
