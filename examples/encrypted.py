"""Payloads encrypted on their way into the store, with keys that have names. Needs `pip install cryptography`.

python examples/encrypted.py
"""

import asyncio
import os
import sqlite3
import tempfile
from contextlib import closing

from perdure import Perdure
from perdure.codec import Chain, Compress, Encrypt

KEYS = {"2026-10": os.urandom(32), "2026-11": os.urandom(32)}  # yours come from a secret store, the same every time


def open_app(path: str, current: str) -> Perdure:
    app = Perdure(f"sqlite:///{path}", codec=Chain(Compress(), Encrypt(KEYS, current)))
    app.task(name="greet")(greet)
    return app


async def greet(secret: str) -> str:
    return f"hello {secret}"


async def main(path: str) -> None:
    app = open_app(path, "2026-10")
    async with app:
        handle = await app.enqueue(app.call("greet", "swordfish"))
        print("result", await handle.result())

    with closing(sqlite3.connect(path)) as connection:
        stored = str(connection.execute("SELECT task_name, input, result FROM executions").fetchall())
    print("stored in the clear:", "swordfish" in stored, "| which task:", "greet" in stored)

    # A new current key: what the old one wrote can still be read, as long as it is listed.
    app = open_app(path, "2026-11")
    async with app.connect():
        print("read again", await app.handle(handle.id).result())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(f"{folder}/secret.db"))
