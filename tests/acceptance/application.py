"""An application as web frameworks make it: Starlette, for uvicorn."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

FILES = Path(os.environ["ACCEPTANCE_FILES"])
#: Events of C{/events} wait for a request to C{/next}, so that none comes before its time.
TURNS: dict[str, asyncio.Queue[str]] = {}

PAGE = """<!doctype html><title>waiting</title><script>
const log = [];
const base = location.pathname.replace(/page$/, "");
const done = (what) => { log.push(what); document.title = log.length == 6 ? "done" : "waiting";
  document.body.dataset.log = log.sort().join(" "); };
window.onload = () => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + base + "socket", ["chat"]);
  socket.onopen = () => socket.send("browser");
  socket.onmessage = (event) => { done("socket:" + event.data + ":" + socket.protocol);
    socket.close(); };
  const events = new EventSource(base + "ticks");
  events.onmessage = (event) => { events.close(); done("event:" + event.data); };
  fetch(base + "cookies/set", {credentials: "include"})
    .then(() => fetch(base + "cookies")).then((reply) => reply.text())
    .then((text) => done("cookies:" + text));
  fetch(base + "upload", {method: "POST", body: new Blob(["x".repeat(300000)])})
    .then((reply) => reply.json()).then((told) => done("upload:" + told.length));
  const form = new FormData();
  form.append("file", new File(["y".repeat(100000)], "named.txt", {type: "text/plain"}));
  fetch(base + "upload", {method: "PUT", body: form}).then((reply) => reply.json())
    .then((told) => done("form:" + told.type.split(";")[0] + ":" + (told.length > 100000)));
  fetch(base + "files/large.bin").then((reply) => reply.arrayBuffer())
    .then((body) => crypto.subtle.digest("SHA-256", body)).then((digest) => done("download:" +
      Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("")));
};
</script><body>"""


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE)


async def upload(request: Request) -> Response:
    digest, length = hashlib.sha256(), 0
    async for part in request.stream():
        digest.update(part)
        length += len(part)
    told = {
        "length": length,
        "sha256": digest.hexdigest(),
        "type": request.headers.get("content-type"),
    }
    return JSONResponse(told)


async def echo(request: Request) -> Response:
    body = await request.body()
    told = {
        "method": request.method,
        "path": request.scope["raw_path"].decode("latin-1"),
        "query": request.scope["query_string"].decode("latin-1"),
        "cookies": request.cookies,
        "headers": sorted(
            (name, value)
            for name, value in request.headers.items()
            if name.startswith(("x-test", "accept", "content-type", "authorization", "if-"))
        ),
        "body": body.decode("latin-1"),
    }
    return JSONResponse(told)


async def download(request: Request) -> Response:
    return FileResponse(FILES / request.path_params["name"])


async def chunks(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(50):
            yield b"%d " % number * 100

    return StreamingResponse(parts(), media_type="text/plain")


async def events(request: Request) -> Response:
    turns = TURNS.setdefault(request.query_params["id"], asyncio.Queue())

    async def parts() -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        while (turn := await turns.get()) != "end":
            yield f"data: {turn}\n\n"

    return StreamingResponse(parts(), media_type="text/event-stream")


async def next_event(request: Request) -> Response:
    turns = TURNS.setdefault(request.query_params["id"], asyncio.Queue())
    await turns.put(request.query_params["what"])
    return PlainTextResponse("ok")


async def ticks(request: Request) -> Response:
    return PlainTextResponse("data: one\n\n", media_type="text/event-stream")


async def cookies(request: Request) -> Response:
    return PlainTextResponse(",".join(f"{k}={v}" for k, v in sorted(request.cookies.items())))


async def set_cookies(request: Request) -> Response:
    reply = PlainTextResponse("set")
    reply.set_cookie("a", "1", httponly=True, samesite="lax")
    reply.set_cookie("b", "two words", max_age=60)
    return reply


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], int(request.query_params.get("as", "307")))


async def status(request: Request) -> Response:
    code = request.path_params["code"]
    return Response(b"" if code in (204, 304) else b"as asked", code, {"x-code": str(code)})


async def packed(request: Request) -> Response:
    body = gzip.compress(b"packed by the application " * 100, mtime=0)
    return Response(body, headers={"content-encoding": "gzip", "etag": '"packed"'})


async def fault(request: Request) -> Response:
    raise RuntimeError("a fault of the application")


async def cut(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"some"
        raise RuntimeError("cut short")

    return StreamingResponse(parts(), headers={"content-length": "10"})


async def socket(websocket: WebSocket) -> None:
    wanted = websocket.scope["subprotocols"]
    await websocket.accept("chat" if "chat" in wanted else None)
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "leave":
                await websocket.close(4001, "asked to")
                return
            if message.get("text") is not None:
                await websocket.send_text(message["text"].upper())
            else:
                await websocket.send_bytes(message["bytes"][::-1])
    except WebSocketDisconnect:
        return


async def refusing_socket(websocket: WebSocket) -> None:
    await websocket.close()


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
app = Starlette(
    routes=[
        Route("/page", page),
        Route("/upload", upload, methods=["POST", "PUT"]),
        Route("/echo", echo, methods=METHODS),
        Route("/echo/{rest:path}", echo, methods=METHODS),
        Route("/files/{name}", download),
        Route("/chunks", chunks),
        Route("/events", events),
        Route("/next", next_event),
        Route("/ticks", ticks),
        Route("/cookies", cookies),
        Route("/cookies/set", set_cookies),
        Route("/redirect", redirect),
        Route("/status/{code:int}", status),
        Route("/packed", packed),
        Route("/fault", fault),
        Route("/cut", cut),
        WebSocketRoute("/socket", socket),
        WebSocketRoute("/refused", refusing_socket),
        Mount("/static", StaticFiles(directory=FILES, html=True)),
    ],
    middleware=[Middleware(GZipMiddleware, minimum_size=500)],
)
