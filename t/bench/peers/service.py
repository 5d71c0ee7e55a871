"""The receiver as a FastAPI service: a commit a request, in its handler."""

import hashlib
import hmac
import os
import re
import sqlite3
import time
from collections import Counter
from datetime import datetime, timezone

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError, validator

SECRET = os.environ["WEBHOOK_SECRET"].encode()

app = FastAPI()

db = sqlite3.connect(os.environ["DATABASE"], timeout=30)
for pragma in os.environ["PRAGMAS"].split():
    db.execute("PRAGMA " + pragma)
db.execute("""
    CREATE TABLE IF NOT EXISTS messages (
        message_id TEXT PRIMARY KEY,
        from_msisdn TEXT NOT NULL,
        to_msisdn TEXT NOT NULL,
        ts TEXT NOT NULL,
        text TEXT,
        created_at TEXT NOT NULL)
""")
db.execute("CREATE INDEX IF NOT EXISTS by_ts ON messages (ts, message_id)")
db.execute("CREATE INDEX IF NOT EXISTS by_from ON messages (from_msisdn)")


class Message(BaseModel):
    message_id: str = Field(min_length=1)
    sender: str = Field(alias="from", regex=r"\A\+[0-9]+\Z")
    to: str = Field(regex=r"\A\+[0-9]+\Z")
    ts: str
    text: str | None = Field(default=None, max_length=4096)

    @validator("ts")
    def utc(cls, value):
        if not re.fullmatch(r"[0-9-]{10}T[0-9:]{8}(\.[0-9]{1,9})?Z", value):
            raise ValueError("not RFC 3339 in UTC")
        datetime.fromisoformat(value[:19])
        return value


def store(message):
    row = (message.message_id, message.sender, message.to, message.ts,
           message.text, datetime.now(timezone.utc).isoformat())
    try:
        with db:
            db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
    except sqlite3.IntegrityError:
        pass


requests = Counter()
seconds = Counter()


@app.middleware("http")
async def count(request: Request, call_next):
    start = time.monotonic()
    response = await call_next(request)
    requests[request.url.path, response.status_code] += 1
    seconds[request.url.path] += time.monotonic() - start
    return response


@app.post("/webhook")
async def webhook(request: Request):
    body = await request.body()
    digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()

    if not hmac.compare_digest(digest,
                               request.headers.get("X-Signature", "")):
        return JSONResponse({"detail": "invalid signature"}, 401)

    try:
        message = Message.parse_raw(body)
    except ValidationError as e:
        return JSONResponse({"detail": e.errors()}, 422)

    store(message)

    return {"status": "ok"}
