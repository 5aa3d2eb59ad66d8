"""What is read, and what is wrong with what cannot be: every problem with its line and column, all at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perdure import ConfigurationError
from perdure.mermaid import Arrow, DiagramError, Note, draw_graph, parse
from perdure.mermaid.code import code
from perdure.model.machine import lower
from tests.mermaid.diagrams import CHECKOUT, COUNTDOWN, FULFIL

FRONT = "---\ntitle: T\n---\nstateDiagram-v2\n"


def problems(body: str, front: str = FRONT) -> list[str]:
    """`line:column: message` of each problem of a diagram with this body; it begins in line 5."""
    with pytest.raises(DiagramError) as caught:
        parse(front + body, "d")
    assert str(caught.value) == "\n".join(f"d:{p.line}:{p.column}: {p.message}" for p in caught.value.problems)
    return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


def test_the_example_of_the_contract() -> None:
    graph = parse(CHECKOUT)
    assert graph.title == "Checkout"
    assert [(node.name, node.kind, node.attempts, node.backoff_ms) for node in graph.root.nodes] == [
        ("paid", "choice", 1, 1000), ("charge", "state", 3, 2000), ("ship", "state", 1, 1000), ("notify", "state", 1, 1000)
    ]  # fmt: skip
    assert graph.root.arrows == (
        Arrow(None, "charge"), Arrow("charge", "paid"), Arrow("paid", "ship", "accepted"),
        Arrow("paid", "notify", "declined"), Arrow("ship", None), Arrow("notify", None),
    )  # fmt: skip


def test_all_that_mermaid_documents() -> None:
    graph = parse(FULFIL)
    nodes = {node.name: node for node in graph.nodes()}
    assert {name: node.kind for name, node in nodes.items() if node.kind != "state"} == {
        "split": "fork", "both": "join", "Ship": "composite"
    }  # fmt: skip
    assert nodes["Ship"].texts == ("Ship it",)
    assert nodes["pick"].texts == ('Pick, from "shelf" #4',)
    assert nodes["inform"].notes == (Note("left of", "by mail"),)
    assert nodes["done"].notes == (Note("right of", "That: is all;\nthere --> is"),)
    assert [region.direction for region in nodes["Ship"].regions] == ["TB", ""]
    assert graph.root.direction == "LR"


def test_composite_states_dissolve_and_regions_fork() -> None:
    machine = lower(parse(FULFIL))
    assert {step.name: (step.kind, step.targets) for step in machine.steps.values()} == {
        "split": ("fork", ["pack", "bill"]), "both": ("join", ["Ship"]), "take": ("state", ["split"]),
        "pack": ("state", ["both"]), "bill": ("state", ["both"]), "Ship": ("fork", ["pick", "inform"]),
        "Ship_done": ("join", ["done"]), "pick": ("state", ["send"]), "send": ("state", ["Ship_done"]),
        "inform": ("state", ["Ship_done"]), "done": ("state", ["[*]"]),
    }  # fmt: skip
    assert machine.start == "take"
    inner = lower(parse(FRONT + "[*] --> a\nstate a {\n[*] --> b\nb --> [*]\n}\na --> c\nc --> [*]"))
    assert inner.start == "b"
    assert inner.steps["b"].targets == ["c"]


def test_the_digest_is_of_what_is_executed() -> None:
    digest = lower(parse(CHECKOUT)).digest()
    assert lower(parse(CHECKOUT.replace("v2\n", "v2\n%% hi\ndirection LR\nnote left of ship : x\n"))).digest() == digest
    for old, new in (("attempts=3", "attempts=4"), ("declined", "refused"), ("notify", "tell")):
        assert lower(parse(CHECKOUT.replace(old, new))).digest() != digest


def test_the_order_of_lines_is_free() -> None:
    lines = ["a --> [*]", "[*] --> c", "c --> a: yes", "c --> b: no", "state c <<choice>>", "b --> [*]"]
    assert "the start leads to the choice c" in problems("\n".join(lines))[0]
    lines[1:1] = ["[*] --> s", "s --> c"]
    lines.remove("[*] --> c")
    machine = lower(parse(FRONT + "\n".join(lines)))
    assert (machine.start, machine.steps["c"].targets) == ("s", ["a", "b"])


def test_ways_that_meet_again_are_no_cycle() -> None:
    parse(FRONT + "state c <<choice>>\n[*] --> s\ns --> c\nc --> a: x\nc --> b: y\na --> e\nb --> e\ne --> [*]")


def test_three_attributes_dashes_in_comments_and_crlf() -> None:
    text = FRONT + "[*] --> a\r\n%% --- hm ---\r\na --> a: attempts=2\\nbackoffMs=5\r\na --> [*]"
    (node,) = parse(text).root.nodes
    assert (node.attempts, node.backoff_ms) == (2, 5)
    assert problems("[*] --> a\na --> a: attempts=2\\nbackoffMs=5\\nfoo=1\na --> [*]") == [
        "6:8: a has the unknown attribute 'foo'; known are attempts and backoffMs"
    ]
    (node,) = parse(FRONT + "[*] --> a\na --> a: attempts=2\na --> a: backoffMs=7\na --> [*]").root.nodes
    assert (node.attempts, node.backoff_ms) == (2, 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["1:1: the diagram has no title; begin with front matter: ---, title: …, ---", "1:1: there is no diagram;"]),
        ("---\ntitle: x\n---\n", ["4:1: there is no diagram;"]),
        ("stateDiagram-v2\n[*] --> a\na --> [*]", ["1:1: the diagram has no title;"]),
        ("---\ncycles: true\n---\nstateDiagram-v2\n[*] --> a\na --> [*]", ["1:1: the front matter has no title"]),
        ("---\ntitle: x\nstateDiagram-v2\n", ["1:1: the front matter does not end", "5:1: there is no diagram"]),
        ("---\n- title\n---\nstateDiagram-v2\n[*] --> a\na --> [*]", ["2:1: the front matter is no mapping"]),
        ("---\ntitle: [a\n---\nstateDiagram-v2\n[*] --> a\na --> [*]", ["2:10: the front matter is no YAML"]),
        ("---\ntitle: x\ncycles: perhaps\n---\nstateDiagram-v2\n[*] --> a\na --> [*]", ["3:9: cycles is 'perhaps'"]),
        ("---\ntitel: x\n---\nstateDiagram-v2\n[*] --> a\na --> [*]", ["1:1: the front", "2:1: 'titel' is not known"]),
        ("---\ntitle: 42\n---\nstateDiagram-v2\n[*] --> a\na --> [*]", ["1:1: the title '42' becomes '42', which is no"]),
        ("---\ntitle: x\n---\nflowchart TD\na --> b", ["4:1: the diagram must begin with stateDiagram-v2"]),
        ("\x00\x01\x02", ["1:1: this is no text"]),
    ],
)  # fmt: skip
def test_front_matter_and_header(text: str, said: list[str]) -> None:
    found = [problem for problem in problems(text, front="") if "dead end" not in problem and "unable" not in problem]
    assert len(found) >= len(said)
    assert [problem[: len(start)] for problem, start in zip(found, said, strict=False)] == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("a --> [*]", "4:1: unable to determine any state being the first; write [*] --> STATE"),
        ("[*] --> [*]", "5:1: [*] --> [*] is a diagram of nothing"),
        ("[*] --> a\n[*] --> b\na --> [*]\nb --> [*]", "6:1: the start leads to several states: a, b; it must lead to one"),
        ("[*] --> a\na --> b\na --> c\nb --> [*]\nc --> [*]", "7:1: several arrows leave the state a: to b, c;"),
        ("[*] --> a\na --> [*]\na --> [*]", "7:1: several arrows leave the state a: to [*], [*];"),
        ("[*] --> a", "5:9: the state a is a dead end; say where it leads, to the end by a --> [*]"),
        ("[*] --> a\na --> [*]\nz --> [*]", "7:1: z is unreachable: no way from the start leads to it"),
        ("[*] --> a\na --> [*]\nz", "7:1: z is unreachable"),
        ("state c <<choice>>\n[*] --> c\nc --> [*]: x", "6:1: the start leads to the choice c; it must lead to a state"),
        ("state c <<choice>>\n[*] --> a\na --> c\nc --> [*]", "8:1: the arrow from the choice c to [*] has no label"),
        ("state c <<choice>>\n[*] --> a\na --> c\nc --> c: x\nc --> [*]: y", "8:8: the choice c leads to itself"),
        ("state c <<choice>>\n[*] --> a\na --> c\nc --> [*]: x y\nc --> b: xY\nb --> [*]",
         "9:1: two arrows of the choice c are labelled 'x y' and 'xY', the same to Python"),
        ("state c <<choice>>\nstate d <<choice>>\n[*] --> a\na --> c\nc --> d: x\nd --> [*]: y",
         "9:1: the choice c leads to the choice d; put a state between"),
        ("state d <<choice>>\nstate w {\nstate c <<choice>>\n[*] --> a\na --> c\nc --> [*]: x\n}\n[*] --> w\nw --> d\nd --> [*]: y",
         "7:7: the choice c leads, at the end of its composite state, to the choice d; put a state between"),
        ("state c <<choice>>\n[*] --> a\na --> c", "5:7: the choice c is a dead end"),
        ("[*] --> a\na --> a\na --> [*]", "6:1: the arrow from a to itself provides no information; label it"),
        ("[*] --> a\na --> a: attempts=a\na --> [*]", "6:8: attempts of a is 'a', which is not a number"),
        ("[*] --> a\na --> a: attempts=2abc\na --> [*]", "6:8: attempts of a is '2abc', which is not a number"),
        ("[*] --> a\na --> a: attempts=-2\na --> [*]", "6:8: attempts of a is -2; only whole positive numbers are allowed"),
        ("[*] --> a\na --> a: backoffMs=0\na --> [*]", "6:8: backoffMs of a is 0; only whole positive"),
        ("[*] --> a\na --> a: backoffMs=1.23\na --> [*]", "6:8: backoffMs of a is 1.23; only whole positive"),
        ("[*] --> a\na --> a: attempts=1e2\na --> [*]", "6:8: attempts of a is '1e2', which is not a number"),
        ("[*] --> a\na --> a: twice\na --> [*]", "6:8: 'twice' is no attribute of a; write attempts=3"),
        ("[*] --> a\na --> a: attempts=2\\nattempts=3\na --> [*]", "6:8: attempts of a is given twice"),
        ("[*] --> my_task\nmy_task --> myTask\nmyTask --> [*]", "6:13: the state myTask and the state my_task become one"),
        ("[*] --> lambda\nlambda --> [*]", "5:9: 'lambda' becomes 'lambda', which is a word of Python's"),
        ("[*] --> __init__\n__init__ --> [*]", "5:9: '__init__' becomes '__init__', which is a word of Python's"),
        ("state c <<choice>>\n[*] --> a\na --> c\nc --> [*]: __class__", "8:1: '__class__' becomes '__class__', which is"),
        ("state c <<choice>>\n[*] --> a\na --> c\nc --> [*]: 42", "8:1: '42' becomes '42', which is no name in Python"),
        ("[*] --> 2a\n2a --> [*]", "5:9: '2a' cannot name a state: use letters, digits and underscores"),
        ("[*] --> ctx\nctx --> [*]", "5:9: the state ctx and the attribute ctx become one Python name, ctx"),
        ("[*] --> Note\nNote --> [*]", "5:9: Mermaid keeps the word 'Note' for itself; show it by an alias"),
        ("[*] --> a-b", "5:10: unexpected '-'; expected --> or ::: or a colon and a text"),
        ("[*] -> a", "5:5: unexpected '-'; expected --> or ::: or a colon and a text"),
        ("[*] --> a: x; y\na --> [*]", "5:10: a text has no semicolon; Mermaid ends it there"),
        ("[*] --> a: x %% y\na --> [*]", "5:10: a comment stands on a line of its own"),
        ("[*] --> a: direction LR\na --> [*]", "5:12: Mermaid reads 'direction LR' as a direction"),
        ("direction UP\n[*] --> a\na --> [*]", "5:11: UP is no direction; there are TB, BT, LR, RL"),
        ("accTitle: x\n[*] --> a\na --> [*]", "5:1: accTitle is not supported; the front matter has the title"),
        ("  click a href \"x\"\n[*] --> a\na --> [*]", "5:3: click is not supported"),
        ("state a <<history>>\n[*] --> a\na --> [*]", "5:1: only <<choice>>, <<fork>> and <<join>> are supported"),
        ("[*] --> a\na --> [H]", "6:1: history states are not supported"),
        ("--\n[*] --> a\na --> [*]", "5:1: -- divides a composite state; here is none"),
        ("}\n[*] --> a\na --> [*]", "5:1: there is no composite state that } could close"),
        ("[*] --> a\na --> [*]\nstate a {\n[*] --> b\nb --> [*]", "7:7: the braces of a are never closed"),
        ("[*] --> a\na --> [*]\nstate a {\nb --> [*]\n}", "7:7: unable to determine any state being the first of a"),
        ("[*] --> a\na --> b\nb --> [*]\nstate a {\n[*] --> b\nb --> [*]\n}",
         "9:9: b belongs to the diagram itself (line 6), not to the composite state a; arrows do not cross"),
        ("[*] --> a\na --> [*]\nclass ghost red", "7:7: there is no state ghost to style"),
        ("[*] --> a\na --> [*]\nnote left of a\nhm", "7:15: unexpected the end of the line; expected a colon and a text"),
    ],
)  # fmt: skip
def test_one_problem(body: str, said: str) -> None:
    assert said in "\n".join(problems(body))


def test_cycles() -> None:
    body = COUNTDOWN.partition("stateDiagram-v2\n")[2]
    assert problems(body) == [
        "6:11: a cycle: count --> decide --> count; to allow it write cycles: true in the front matter"
    ]
    parse(COUNTDOWN)
    forced = problems("[*] --> a\na --> b\nb --> a", FRONT.replace("title: T", "title: T\ncycles: true"))
    assert forced == ["6:9: a cycle that never ends: a --> b --> a; only a choice leads out of one"]
    trapped = "state c <<choice>>\n[*] --> a\na --> c\nc --> a: x"
    assert "6:7: no way from the choice c leads to the end" in problems(
        trapped, FRONT.replace("title: T", "title: T\ncycles: true")
    )


FORK = "state f <<fork>>\nstate j <<join>>\n[*] --> s\ns --> f\nf --> a\nf --> b\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("a --> j\nb --> [*]\nj --> [*]", "b ends the diagram within a branch of f; join it first"),
        ("a --> b\nb --> j\nj --> [*]", "b is reached from branch"),
        ("a --> j\nb --> c\nc --> [*]\nj --> [*]", "the branch of f that begins with b is never joined"),
        (
            "a --> j\nb --> j\nf --> j\nj --> [*]",
            "a branch of the fork f begins with the join j; it must begin with a state",
        ),
        ("a --> j\nb --> j\nj --> [*]\nstate k <<join>>\nf --> k\nk --> [*]", "the join k joins 1 ways"),
    ],
)
def test_forks_are_joined(body: str, said: str) -> None:
    assert said in "\n".join(problems(FORK + body))


def test_a_join_without_a_fork() -> None:
    body = (
        "state c <<choice>>\nstate j <<join>>\n[*] --> s\ns --> c\nc --> a: x\nc --> b: y\na --> j\nb --> j\nj --> [*]"
    )
    assert "6:7: j joins nothing: a stands in no branch of a fork" in problems(body)


def test_all_problems_at_once() -> None:
    found = problems("[*] --> a\n[*] --> b\na --> a\nfoo bar\nb --> [*]\nq --> [*]\nclick a")
    assert len(found) == 6
    assert [int(problem.partition(":")[0]) for problem in found] == [5, 6, 7, 8, 10, 11]


def test_ten_thousand_states() -> None:
    count = 10_000
    arrows = "".join(f"s{at} --> s{at + 1}\n" for at in range(count))
    graph = parse(f"{FRONT}[*] --> s0\n{arrows}s{count} --> [*]\n")
    assert len(graph.root.nodes) == count + 1
    assert len(problems(f"[*] --> s0\n{arrows}s{count} --> s0\n")) == 1


def test_ten_thousand_choices_and_regions() -> None:
    count = 2500
    lines = ["[*] --> s0", f"s{count} --> [*]"]
    for at in range(count):
        lines += [
            f"state c{at} <<choice>>",
            f"s{at} --> c{at}",
            f"c{at} --> p{at}: left {at}",
            f"c{at} --> [*]: right {at}",
        ]
        lines += [f"state p{at} {{", f"[*] --> q{at}", f"q{at} --> [*]", "}", f"p{at} --> s{at + 1}"]
    graph = parse(FRONT + "\n".join(lines))
    text = code(graph, "large.mermaid", "large_payloads")
    assert text.count("@abstractmethod") == 2 * count + 1
    assert len(draw_graph(graph).splitlines()) > 5 * count


def test_deep_nesting_is_refused() -> None:
    body = "[*] --> s0\ns0 --> [*]\n" + "".join(
        f"state s{at} {{\n[*] --> s{at + 1}\ns{at + 1} --> [*]\n" for at in range(5000)
    )
    assert any("nested deeper than 50" in problem for problem in problems(body + "}\n" * 5000))


def test_very_many_problems_are_cut() -> None:
    assert 0 < len(problems("what is this\n" * 10_000)) <= 200


def test_a_title_is_only_a_title() -> None:
    assert parse(CHECKOUT.replace("title: Checkout", "title: '../../etc/passwd'")).title == "../../etc/passwd"


def test_reading_is_loaded_when_something_is_read() -> None:
    code = "import sys, perdure.mermaid; sys.exit(any(name in sys.modules for name in ('lark', 'yaml', 'libcst')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lark", None)
    for name in [name for name in sys.modules if name.startswith("perdure.mermaid.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigurationError, match=r"perdure\[codegen\]"):
        parse(CHECKOUT)
