"""The same service by other means."""

import os

from server import Server
from setting import PEERS, PYTHON, SECRET


class FastAPI(Server):
    """SQLite's default journal, one worker."""

    database = "app.db"
    workers = 1
    pragmas = ""

    def command(self):
        return [PYTHON, "-m", "uvicorn", "--app-dir", PEERS,
                "--host", "127.0.0.1", "--port", str(self.port),
                "--workers", str(self.workers), "--log-level", "warning",
                "--no-access-log", "service:app"]

    def env(self):
        return dict(os.environ, WEBHOOK_SECRET=SECRET,
                    DATABASE=self.path("app.db"), PRAGMAS=self.pragmas,
                    PYTHONDONTWRITEBYTECODE="1")

    def stop(self, signo=None):
        super().stop(15)


class FastAPIBest(FastAPI):
    workers = 2
    pragmas = "journal_mode=WAL synchronous=NORMAL"
