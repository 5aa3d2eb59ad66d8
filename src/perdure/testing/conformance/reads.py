"""Reading: by id, by query, page by page, in numbers; and hints that prove nothing (R1, R14)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import msgspec
import pytest

from perdure.errors import Failure
from perdure.model.query import Query, Term, parse
from perdure.model.records import JournalView, Released, Settled, Stat, Suspended, Wait
from perdure.testing.conformance.hand import DONE, FAILED, START, Conformance, Hand, activity, asleep


class ReadConformance(Conformance):
    """What people and engines see."""

    def test_by_position(self, on: Hand) -> None:
        """R1: rows match ids, unknown and doubled ones included."""
        on.add("a", "b")
        rows = on.storage.get(["b", "nobody", "a", "b"])
        assert [None if row is None else row.id for row in rows] == ["b", None, "a", "b"]
        assert on.storage.get([]) == []

    def test_settled(self, on: Hand) -> None:
        """R1, R9: only what is settled, whole; nothing for the open and the unknown."""
        on.add("done", "failed", "open")
        on.run("done", DONE)
        on.run("failed", FAILED)
        ids = ["open", "failed", "nobody", "done"]
        assert on.storage.settled(ids) == [None, on.row("failed"), None, on.row("done")]

    def test_journals(self, on: Hand) -> None:
        """R1: one view per id, an empty one for an unknown id."""
        on.add("a", "b")
        on.run("b", entries=[activity("x")])
        views = on.storage.journal(["b", "nobody", "a"])
        assert [len(view.entries) for view in views] == [1, 0, 0]
        assert views[1] == JournalView()

    def test_order(self, on: Hand) -> None:
        """R1: by creation, then id; both ways."""
        for id, wait in (("c", 0), ("a", 5), ("b", 0)):
            on.wait(wait)
            on.add(id)
        assert self._pages(on, "oldest", 10) == [["c", "a", "b"]]
        assert self._pages(on, "newest", 10) == [["b", "a", "c"]]

    @pytest.mark.parametrize("order", ["oldest", "newest"])
    def test_pages(self, on: Hand, order: Literal["oldest", "newest"]) -> None:
        """R1: page after page each execution comes once, equal creation times included; the last page says so."""
        for number in range(10):
            on.now = START + number // 4
            on.add(f"e{number}")
        expected = [f"e{number}" for number in range(10)]
        pages = self._pages(on, order, 3)
        assert [len(page) for page in pages] == [3, 3, 3, 1]
        found = [id for page in pages for id in page]
        assert found == (expected if order == "oldest" else expected[::-1])

    def test_a_full_last_page(self, on: Hand) -> None:
        """R1: no cursor when nothing follows."""
        on.add("a", "b", "c", "d")
        assert self._pages(on, "oldest", 2) == [["a", "b"], ["c", "d"]]

    def test_pages_while_it_grows(self, on: Hand) -> None:
        """R1: what comes in meanwhile doubles and hides nothing."""
        on.add("a", "b", "c")
        first = on.storage.search(Query(), "newest", 2, None, on.now)
        on.wait(1)
        on.add("d")
        second = on.storage.search(Query(), "newest", 2, first.after, on.now)
        assert [row.id for row in (*first.rows, *second.rows)] == ["c", "b", "a"]

    def test_an_empty_search(self, on: Hand) -> None:
        """R1: nothing found, no cursor."""
        found = on.storage.search(parse("task:nothing"), "newest", 5, None, on.now)
        assert (found.rows, found.after) == ((), None)

    @pytest.mark.parametrize("cursor", ["", "x", "12", ":a", "x:a", "12:"])
    def test_a_cursor_that_is_none(self, on: Hand, cursor: str) -> None:
        """A program that invents cursors errs."""
        with pytest.raises(ValueError, match="cursor"):
            on.storage.search(Query(), "newest", 5, cursor, on.now)

    def test_ids_with_colons(self, on: Hand) -> None:
        """R1: any text is an id, in cursors too."""
        on.add("a:1", "a:2", "ä'\"%_")
        assert [id for page in self._pages(on, "oldest", 1) for id in page] == ["a:1", "a:2", "ä'\"%_"]
        assert sorted(on.find("id:a:*")) == ["a:1", "a:2"]
        assert on.find("id:ä*") == ["ä'\"%_"]
        assert on.find("id:a:1,A:2,a:2%*,a:_*") == ["a:1"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", "abcdefg"),
            ("status:pending", "be"),
            ("status:pending,waiting", "bcde"),
            ("-status:pending,waiting", "afg"),
            ("status:running,failed,completed", "afg"),
            ("task:other", "b"),
            ("-task:other", "acdefg"),
            ("queue:mail", "a"),
            ("tag:color=red", "ab"),
            ("tag:color=blue", "c"),
            ("tag:color=red,color=blue", "abc"),
            ("-tag:color=red", "cdefg"),
            ('tag:"a b=c, d"', "d"),
            ("tag:a.b=x", "e"),
            ("error:boom", "f"),
            ("error:BOOM", "f"),
            ("error:valueerr", "f"),
            ('error:"went boom"', "f"),
            ("error:nothing,boom", "f"),
            ("-error:boom", "abcdeg"),
            ("error:%", ""),
            ("error:_", ""),
            ("waiting:signal", "c"),
            ("waiting:timer", "cd"),
            ("waiting:children", ""),
            ("-waiting:timer", "abefg"),
            ("parent:g", "bc"),
            ("-parent:g", "adefg"),
            ("root:g", "bcg"),
            ("-root:g", "adef"),
            ("state:paid", "e"),
            ("-state:paid", "abcdfg"),
            ("since:2s", "ef"),
            ("-since:2s", "abcdg"),
            ("since:1h", "abcdefg"),
            ("id:a,c,nobody", "ac"),
            ("-id:a,c", "bdefg"),
            ("id:a*", "a"),
            ("id:a*,c,nobody*", "ac"),
            ("-id:a*,c", "bdefg"),
            ("id:*", "abcdefg"),
            ("tag:color=red queue:mail", "a"),
            ("tag:color=red -queue:mail", "b"),
            ("status:pending task:alien", ""),
        ],
    )
    def test_queries(self, on: Hand, query: str, expected: str) -> None:
        """R1: each field, alone, negated, with several values and together; `count` agrees."""
        self._zoo(on)
        assert sorted(on.find(query)) == list(expected)
        assert on.count(query) == len(expected)

    def test_queries_hold_no_code(self, on: Hand) -> None:
        """Values are compared, never run."""
        on.add("a", tags='{"k\'\\"":"v\'--"}')
        assert on.find("tag:\"k'=v'--\"") == []
        assert on.find('task:"\' OR 1=1 --"') == []
        assert on.find('-error:"\' OR 1=1 --"') == ["a"]

    @pytest.mark.parametrize("negated", [True, False])
    def test_a_field_that_is_none(self, on: Hand, negated: bool) -> None:
        """A program that invents fields errs."""
        on.add("a")
        query = Query((Term("colour", ("red",), negated),))
        with pytest.raises(ValueError, match="colour"):
            on.storage.search(query, "newest", 5, None, on.now)
        with pytest.raises(ValueError, match="colour"):
            on.storage.count(query, on.now)

    def test_stats(self, on: Hand) -> None:
        """R1: numbers by task, queue and status; the oldest due time among what is due and not running."""
        on.add("a", due_at=START - 7)
        on.add("b", due_at=START - 3)
        on.add("c", due_at=START + 9)
        on.add("d", task_name="other", queue="mail", due_at=START + 9)
        on.add("e", "f")
        on.start("e")
        on.run("f", DONE)
        assert sorted(on.storage.stats(on.now), key=str) == sorted(
            [
                Stat("work", "default", "pending", 3, START - 7),
                Stat("other", "mail", "pending", 1, None),
                Stat("work", "default", "running", 1, None),
                Stat("work", "default", "completed", 1, None),
            ],
            key=str,
        )

    def test_workers(self, on: Hand) -> None:
        """R6: dead ones that nobody reclaimed are still there."""
        on.beat("w2")
        on.wait(10**6)
        assert sorted(worker.id for worker in on.storage.workers(on.now)) == ["w1", "w2"]

    def test_hints_prove_nothing(self, on: Hand) -> None:
        """R14: whoever listens may hear nothing, or too much; what is read is right without."""
        heard: list[int] = []
        on.storage.listen(lambda: heard.append(1))
        on.add("a")
        assert on.claimed() == ["a"]

    def test_no_hint_is_needed(self, on: Hand) -> None:
        """R14: what another thread wrote is found by looking, without any call back."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(on.add, "a").result(60)
        assert on.claimed() == ["a"]

    def test_migrating_again(self, on: Hand) -> None:
        """R4: it answers the same version, and keeps everything."""
        on.add("a")
        assert on.storage.migrate(on.now) == on.storage.migrate(on.now)
        assert on.status("a") == ["pending"]

    def _zoo(self, on: Hand) -> None:
        """One execution per letter; `b` and `c` are children of `g`, `e` and `f` came three seconds after the others."""
        on.add("g")
        on.start("g")
        child = on.child("b", "g", task_name="other", tags='{"color":"red"}')
        on.commit("g", spawns=[child, on.child("c", "g", tags='{"color":"blue"}')])
        on.run("c", Suspended((Wait("timer", "", START + 10**6), Wait("signal", "go")), START + 10**6, ("go",), (0,)))
        on.add("a", queue="mail", tags='{"color":"red","n":"1"}')
        on.claim(queues=("mail",))
        on.add("d", tags='{"a b":"c, d"}')
        on.run("d", asleep(START + 10**6))
        on.wait(3000)
        on.add("e", tags='{"a.b":"x"}')
        on.run("e", Released(on.now), progress='{"state":"paid"}')
        on.add("f")
        failure = Failure(type="ValueError", message="it went Boom today", traceback="hidden nothing")
        on.run("f", Settled("failed", _text(failure)))

    def _pages(self, on: Hand, order: Literal["oldest", "newest"], limit: int) -> list[list[str]]:
        """All pages of a search of everything."""
        pages: list[list[str]] = []
        after: str | None = None
        while True:
            found = on.storage.search(Query(), order, limit, after, on.now)
            pages.append([row.id for row in found.rows])
            after = found.after
            if after is None:
                return pages


def _text(failure: Failure) -> str:
    return msgspec.json.encode(failure).decode()
