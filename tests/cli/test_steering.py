"""`cancel`, `retry`, `signal`, `fork`: what changes, what is counted first, what is refused."""

from __future__ import annotations

import json

from tests.cli.conftest import Cli, Reaching, Settled


def status(cli: Cli, execution_id: str) -> str:
    return str(cli.json("show", execution_id)["status"])


def test_cancel_by_id(cli: Cli) -> None:
    execution_id = cli.enqueue("nap", "seconds=60")
    assert "cancelled" in cli("cancel", execution_id, "--reason", "no more").output
    found = cli.json("show", execution_id)
    assert (found["status"], found["cancel_reason"]) == ("cancelled", "no more")
    assert found["why"] == "it was cancelled (no more)"
    assert "left alone: it is cancelled" in cli("cancel", execution_id).output


def test_a_bad_id_keeps_no_other_from_its_turn(cli: Cli) -> None:
    execution_id = cli.enqueue("nap")
    answer = json.loads(cli("cancel", "nope", execution_id, "--json", code=4).stdout)
    assert [each["done"] for each in answer] == [None, "cancelled"]
    assert status(cli, execution_id) == "cancelled"


def test_cancel_by_query_counts_and_asks(cli: Cli) -> None:
    for n in range(3):
        cli.enqueue("echo", f"value={n}")
    kept = cli.enqueue("nap")
    assert cli("cancel", "--where", "task:nothing", "-y").output == "nothing to cancel: no execution fits\n"
    assert cli("cancel", "--where", "task:echo", "--dry-run").output == "would cancel 3 executions\n"
    refused = cli("cancel", "--where", "task:echo", input="n\n", code=130)
    assert "cancel 3 executions" in refused.output
    assert "nothing was changed" in refused.stderr
    assert "add --yes" in cli("cancel", "--where", "task:echo", code=2).stderr
    assert cli.json("list", "--count", "status:pending") == {"count": 4}
    assert "done: 3 executions" in cli("cancel", "--where", "task:echo", input="y\n").output
    assert cli.json("list", "--count", "status:cancelled") == {"count": 3}
    assert status(cli, kept) == "pending"
    assert cli.json("cancel", "--where", "", "--yes") == {"count": 1, "done": True}


def test_ids_and_a_query_exclude_each_other(cli: Cli) -> None:
    cli("migrate")
    assert "name ids, or choose by --where" in cli("cancel", code=2).stderr
    assert "name ids, or choose by --where" in cli("retry", "x", "--where", "", code=2).stderr
    assert "--forget goes with ids" in cli("retry", "--where", "", "--forget", "x", code=2).stderr


def test_a_complaint_quotes_the_query_as_it_was_typed(cli: Cli) -> None:
    cli("migrate")
    for verb in ("cancel", "retry"):
        said = cli(verb, "--where", "status:open", code=2).stderr
        assert "query 'status:open': status 'open'" in said
    unknown = cli("list", "nope:1", code=2).stderr
    assert unknown.count("waiting") == 1


def test_retry_of_a_failure(cli: Cli, settled: Settled) -> None:
    execution_id = cli.enqueue("broken")
    settled(execution_id)
    assert "would retry" in cli("retry", execution_id, "--dry-run").output
    assert status(cli, execution_id) == "failed"
    assert "retried" in cli("retry", execution_id).output
    assert cli.json("show", execution_id)["generation"] == 1
    assert "only a failed" in cli("retry", execution_id, code=3).stderr
    settled(execution_id)
    assert cli.json("retry", "--where", "status:failed", "--yes") == {"count": 1, "done": True}


def test_retry_may_forget_entries(cli: Cli, reaching: Reaching) -> None:
    execution_id = cli.enqueue("order", "customer=1")
    reaching(execution_id, "status:waiting")
    refused = cli("retry", execution_id, "--forget", "nothing", code=4)
    assert "names are charge" in refused.stderr
    assert "forgot 1 entry of charge" in cli("retry", execution_id, "--forget", "charge").output
    assert not [each for each in cli.json("show", execution_id)["journal"] if each["name"] == "charge"]


def test_what_ended_forgets_before_it_is_retried(cli: Cli, reaching: Reaching, settled: Settled) -> None:
    execution_id = cli.enqueue("order", "customer=1")
    reaching(execution_id, "status:waiting")
    cli("cancel", execution_id)
    assert "would forget 1 entry" in cli("retry", execution_id, "--forget", "charge", "--dry-run").output
    assert status(cli, execution_id) == "cancelled"
    assert "forgot 1 entry of charge" in cli("retry", execution_id, "--forget", "charge").output
    shown = cli.json("show", execution_id)
    assert (shown["generation"], shown["status"]) == (1, "pending")
    assert not [each for each in shown["journal"] if each["name"] == "charge"]
    family = cli.enqueue("family")
    settled(family)
    assert "is completed; only a failed" in cli("retry", family, "--forget", "echo", code=3).stderr
    assert len(cli.json("show", family)["journal"]) == 2


def test_signal_takes_json_text_and_standard_input(cli: Cli) -> None:
    execution_id = cli.enqueue("order", "customer=1")
    assert f"approval to {execution_id}, which is pending" in cli("signal", execution_id, "approval", "true").output
    cli("signal", execution_id, "approval", "-", input='{"a": 1}')
    cli("signal", execution_id, "approval", "yes", "--text")
    cli("signal", execution_id, "approval")
    refused = cli("signal", execution_id, "approval", "yes", code=2)
    assert "quoted twice" in refused.stderr
    assert "or give --text" in refused.stderr
    assert "signal name" in cli("signal", execution_id, "not ok", "1", code=3).stderr
    assert "there is no execution" in cli("signal", "nope", "approval", "1", code=4).stderr


def test_a_signal_that_is_not_the_awaited_one_is_sent_and_said(cli: Cli, reaching: Reaching) -> None:
    execution_id = cli.enqueue("order", "customer=1")
    reaching(execution_id, "status:waiting")
    sent = cli("signal", execution_id, "aproval", "true")
    assert "! it waits for approval, not aproval" in sent.stderr
    assert sent.stdout.startswith("sent")
    assert cli.json("signal", execution_id, "aproval")["awaited"] == ["approval"]
    assert "waits for" not in cli("signal", execution_id, "approval", "true").stderr


def test_fork_goes_on_from_an_entry(cli: Cli, reaching: Reaching) -> None:
    execution_id = cli.enqueue("order", "customer=1")
    reaching(execution_id, "status:waiting")
    whole = cli("fork", execution_id).stdout.strip()
    assert cli.json("show", whole)["journal"] == []
    other = cli("fork", execution_id, "--input", '{"customer": 2}').stdout.strip()
    assert cli.json("show", other)["input"]["customer"] == 2
    assert "no recorded entry 'nope'" in cli("fork", execution_id, "--from", "nope", code=3).stderr
    answer = cli.json("fork", execution_id, "--from", "charge")
    assert answer["forked_from"] == execution_id


def test_fork_checks_the_input_by_the_signature_where_an_app_is_named(cli: Cli) -> None:
    execution_id = cli.enqueue("order", "customer=1")
    assert "customer" in cli.app("fork", execution_id, "--input", '{"customer": "x"}', code=2).stderr


def test_fork_takes_an_object_as_arguments_by_name(cli: Cli) -> None:
    execution_id = cli.enqueue("echo", "value=1")
    refused = cli.app("fork", execution_id, "--input", '{"valeu": {"x": 1}}', code=2).stderr
    assert "task echo has no parameter 'valeu'; did you mean 'value'?" in refused
    copy = cli.app("fork", execution_id, "--input", '{"value": {"x": 1}}').stdout.strip()
    assert cli.json("show", copy)["input"] == {"value": {"x": 1}}


def test_the_beginning_of_an_id_is_enough(cli: Cli) -> None:
    """From eight characters on, wherever an id is asked for."""
    for id in ("order-2026-a", "order-2026-b", "other-2026", "order-20"):
        cli.enqueue("nap", "seconds=60", "--id", id)
    assert cli.json("show", "order-2026-a")["id"] == "order-2026-a"
    assert cli.json("show", "other-20")["id"] == "other-2026"
    assert cli.json("show", "order-20")["id"] == "order-20"
    assert json.loads(cli("signal", "other-20", "go", "--json").stdout)["id"] == "other-2026"
    assert json.loads(cli("fork", "other-20", "--json").stdout)["forked_from"] == "other-2026"
    answer = json.loads(cli("cancel", "other-20", "--json").stdout)
    assert answer == [{"id": "other-2026", "done": "cancelled", "error": None}]
    assert "other-2026  retried" in cli("retry", "other-20").output
    cli("cancel", "other-20")
    assert "cancelled" in cli("watch", "other-20", code=1).output
    assert "nap" in cli("diagram", "other-20").stdout


def test_a_beginning_of_several_ids_means_none(cli: Cli) -> None:
    for number in range(7):
        cli.enqueue("nap", "seconds=60", "--id", f"order-2026-{number}")
    cli.enqueue("nap", "seconds=60", "--id", "short")
    for command in (["show"], ["cancel"], ["retry"], ["watch"], ["fork"], ["diagram"], ["signal"]):
        value = ["go"] if command == ["signal"] else []
        refused = cli(*command, "order-2026-", *value, code=2).stderr
        assert "several executions have an id that begins with 'order-2026-'" in refused
        assert "order-2026-6 (nap, pending)" in refused
        assert "and more" in refused
        assert "perdure list 'id:order-2026-*'" in refused
        for unknown in ("shor", "order-2", "order-2026-x", 'order-2026-"'):
            assert "there is no execution" in cli(*command, unknown, *value, code=4).stderr
    assert len(cli.json("list", "id:order-2026-*")["items"]) == 7
