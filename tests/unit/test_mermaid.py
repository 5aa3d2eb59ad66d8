"""Drawings: exact texts for trees, sequences and loops; nothing in a name is read as Mermaid; large trees are cut."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest

from perdure import Context, Joined, Perdure, Spawn
from perdure.mermaid import Part, draw, fenced, part_of
from perdure.testing import TestApp

START = datetime(2026, 1, 1, tzinfo=UTC)


def boxes(text: str) -> list[str]:
    return re.findall(r'^    n\d+[^"-]+"([^"]*)"', text, re.MULTILINE)


def arrows(text: str) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in re.findall(r"^    n(\d+) --> n(\d+)$", text, re.MULTILINE)]


def test_a_tree_with_a_finalizer() -> None:
    tree = Part("upload", parts=(Part("title"), Part("summary")), last=Part("combine", shape="finalize"))
    assert draw(tree) == (
        "flowchart TD\n"
        '    n0["upload"]\n'
        '    n1["title"]\n'
        "    n0 --> n1\n"
        '    n2["summary"]\n'
        "    n0 --> n2\n"
        '    n3(["combine"])\n'
        "    n1 --> n3\n"
        "    n2 --> n3\n"
    )
    assert fenced(draw(tree)).startswith("```mermaid\nflowchart TD\n")
    assert fenced(draw(tree)).endswith("\n```\n")


def test_a_sequence_of_a_tree_and_an_external_task() -> None:
    tree = Part("tree", parts=(Part("a"), Part("b")))
    sequence = Part("all", parts=(Part("first"), tree, Part("ask", shape="external")), order="sequence")
    text = draw(sequence)
    assert boxes(text) == ["all", "first", "tree", "a", "b", "ask"]
    assert arrows(text) == [(0, 1), (2, 3), (2, 4), (1, 2), (3, 5), (4, 5)]
    assert '    n5[/"ask"/]' in text


def test_a_finalizer_that_is_a_tree_itself() -> None:
    inner = Part("join", shape="finalize", parts=(Part("x"),), last=Part("end", shape="finalize"))
    text = draw(Part("top", last=inner))
    assert boxes(text) == ["top", "join", "x", "end"]
    assert arrows(text) == [(1, 2), (2, 3), (0, 1)]


def test_what_is_repeated_leads_back_to_itself() -> None:
    assert '    n0 -->|"at most 10 times"| n0' in draw(Part("poll", again="at most 10 times"))


def test_statuses_have_colours_and_only_those_that_occur_are_defined() -> None:
    text = draw(Part("a", "completed in 3 s", status="completed", parts=(Part("b", status="timed_out"),)))
    assert '    n0["a<br/>completed in 3 s"]:::completed' in text
    assert '    n1["b"]:::timed_out' in text
    assert re.findall(r"classDef (\w+) fill", text) == ["completed", "timed_out"]


@pytest.mark.parametrize(
    "evil",
    [
        '"]; click n0 "javascript:x"',
        "<script>alert(1)</script>",
        "a\nb --> c",
        "`x`",
        "#quot;",
        "{{x}}",
        "a|b",
        "\u202ea",
        "\x00",
    ],
)
def test_nothing_in_a_name_is_read_as_mermaid(evil: str) -> None:
    text = draw(Part(evil, evil, again=evil))
    inside = re.findall(r'"([^"]*)"', text)
    assert len(inside) == 2
    assert len(text.splitlines()) == 3
    for label in inside:
        assert not set(label.replace("<br/>", "")) & set('"<>`{}|[]\n\x00\u202e&\\')
        assert "#" not in re.sub(r"#\d+;", "", label)


def test_words_of_every_language_stay() -> None:
    assert boxes(draw(Part("prüfen 検査"))) == ["prüfen 検査"]


def test_many_children_are_counted() -> None:
    parts = [Part("leaf", status="completed" if number % 2 else "failed") for number in range(100)]
    text = draw(Part("top", parts=tuple(parts)), widest=10)
    assert len(boxes(text)) == 11
    assert boxes(text)[-1] == "91 more<br/>46 completed, 45 failed"
    assert len(boxes(draw(Part("top", parts=tuple(parts)), widest=100))) == 101


def test_what_lies_deep_is_counted() -> None:
    chain = reduce(lambda below, number: Part(f"level {number}", parts=(below,)), range(5000), Part("end"))
    text = draw(chain)
    assert len(boxes(text)) == 51
    assert boxes(text)[-1] == "4,951 more below"


async def test_steps_stand_one_after_the_other_and_a_finalizer_last() -> None:
    """An execution is drawn in the order in which its task is declared."""
    app = Perdure("memory://")

    @app.task
    async def inc(n: int) -> int:
        return n + 1

    def total(joined: Joined[int, None]) -> int:
        return sum(joined.all(inc))

    @app.parent_task(finalize=total)
    async def tree(n: int) -> Spawn[None]:
        return Spawn(None, [inc.call(n), inc.call(n)])

    steps = app.sequence("steps", inc, tree, inc)

    async with TestApp(app, START):
        handle = await steps.enqueue(1)
        await handle.result()
        top = await handle.execution()
        children = await handle.children()
        inner = [part_of(each) for each in await app.handle(children[1].id).children()]
        parts = [part_of(children[0]), part_of(children[1], inner), part_of(children[2])]
        text = draw(part_of(top, parts))
        assert len(await handle.children(2)) == 2
    assert [line.strip() for line in text.splitlines() if "-->" in line] == [
        "n0 --> n1", "n2 --> n3", "n2 --> n4", "n3 --> n5", "n4 --> n5", "n1 --> n2", "n5 --> n6",
    ]  # fmt: skip
    assert 'n5(["tree.finalize<br/>completed in 0 s"])' in text


async def test_executions_as_they_stand() -> None:
    app = Perdure("memory://")
    approval = app.external_task("approval", bool, timeout=timedelta(days=1))

    @app.task
    async def leaf(n: int) -> int:
        return n

    @app.task
    async def order(ctx: Context) -> None:
        await ctx.sleep(1.5)
        await leaf(1)
        await approval("o-1")

    async with TestApp(app, START) as t:
        handle = await order.enqueue()
        await t.advance(10)

        async def drawn() -> str:
            children: list[Any] = await handle.children()
            return draw(part_of(await handle.execution(), [part_of(child) for child in children]))

        assert boxes(await drawn()) == [
            "order<br/>waiting: children approval", "leaf<br/>completed in 0 s", "approval<br/>waiting: external o-1",
        ]  # fmt: skip
        assert 'n2[/"approval' in await drawn()
        await approval.complete("o-1", True)
        await handle.result()
        assert boxes(await drawn())[0] == "order<br/>completed in 10 s"
    assert draw(approval.outline()).splitlines()[1] == '    n0[/"approval<br/>completed from outside"/]'
    assert draw(order.outline()) == 'flowchart TD\n    n0["order"]\n'
