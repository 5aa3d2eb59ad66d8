"""Task lists on the command line: what each item came to."""

from __future__ import annotations

import asyncio
from typing import Any

from perdure import Abort, Perdure
from tests.cli.conftest import Cli


def _make(url: str) -> None:
    app = Perdure(url, poll=0.05)

    @app.task
    async def work(number: int) -> dict[str, int]:
        if number == 2:
            raise Abort("no \x1b[2J", value=[7])
        if number == 3:
            raise Abort("stop", scope="list")
        return {"number": number}

    async def run() -> None:
        async with app:
            calls: Any = {"first": work.call(1), "second": work.call(2), "third": work.call(3), "last": work.call(4)}
            await (await app.enqueue_list("signup", calls)).wait(30)
            await (await app.enqueue_list("whole", [work.call(1)])).wait(30)

    asyncio.run(run())


def test_show_lists_the_items_of_a_list(cli: Cli, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/lists.db"
    _make(url)
    screen = cli("show", "signup", "--url", url).output
    assert "4 items: 1 completed, 2 failed, 1 pending" in screen
    rows = [line.split(maxsplit=4) for line in screen.splitlines() if line.strip()[:1].isdigit()]
    assert [row[:2] + row[3:4] for row in rows[1:5]] == [
        ["0", "first", "completed"], ["1", "second", "failed"], ["2", "third", "failed"], ["3", "last", "pending"],
    ]  # fmt: skip
    assert r"Abort: no \x1b[2J  [7]" in screen
    assert "next: perdure retry signup" in screen
    document = cli.json("show", "signup", "--url", url)
    assert [(item["seq"], item["name"], item["status"], item["value"]) for item in document["items"]] == [
        (0, "first", "completed", {"number": 1}), (1, "second", "failed", [7]), (2, "third", "failed", None),
        (3, "last", "pending", None),
    ]  # fmt: skip
    assert document["items"][2]["failure"]["kind"] == "aborted"
    assert document["result"] is None
    whole = cli.json("show", "whole", "--url", url)
    assert [item["value"] for item in whole["result"]] == [{"number": 1}]


def test_diagram_draws_the_items_of_a_list(cli: Cli, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/lists.db"
    _make(url)
    text = cli("diagram", "signup", "--url", url).stdout
    assert text.startswith('flowchart TD\n    n0["@list<br/>failed in ')
    boxes = ['["first<br/>completed"]:::completed', '["second<br/>failed"]:::failed', '["last<br/>pending"]:::pending']
    assert all(box in text for box in boxes)
    assert all(f"n{number} --> n{number + 1}\n" in text for number in range(4))


def test_other_commands_know_lists(cli: Cli, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/lists.db"
    _make(url)
    assert [each["id"] for each in cli.json("list", "task:@list status:failed", "--url", url)["items"]] == ["signup"]
    assert "@list" in cli("list", "--url", url).output


def test_check_names_items_whose_task_is_gone(cli: Cli, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/lists.db"
    app = Perdure(url)

    @app.task
    async def gone() -> None: ...

    async def run() -> None:
        async with app.connect():
            await app.enqueue_list("open", [gone.call()])

    asyncio.run(run())
    assert (
        "item 0 (gone): task gone is not declared"
        in cli("--app", "tests.cli.shop:app", "check", "--url", url, code=1).output
    )
