"""`perdure show` tells by which id a trace is found."""

from __future__ import annotations

from perdure.model.records import NewExecution
from perdure.storage.opening import open_storage
from tests.cli.conftest import Cli

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_it_is_shown(cli: Cli) -> None:
    storage = open_storage(cli.url)
    storage.migrate(1)
    place = f"00-{TRACE}-b7ad6b7169203331-01"
    storage.enqueue([NewExecution("told", "order", "{}", trace=place), NewExecution("untold", "order", "{}")], 1)
    storage.close()
    assert f"  trace    {TRACE}\n" in cli("show", "told").stdout
    assert "trace" not in cli("show", "untold").stdout
    assert cli.json("show", "told")["trace"] == place
    assert cli.json("show", "untold")["trace"] is None
