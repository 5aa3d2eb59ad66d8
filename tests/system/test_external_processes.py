"""External tasks over several processes on one file: who completes, who waits and who dies are different ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from perdure import Handle
from tests.system import faults_program as program
from tests.system.rig import Nursery, broken, counts, until

pytestmark = pytest.mark.timeout(100)


async def test_a_client_completes_what_a_worker_elsewhere_waits_for(tmp_path: Path) -> None:
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            workers.spawn()
            early = await app.complete("decision", "early", "before")
            handles = [await app.enqueue(program.decided.call(key)) for key in ("early", "k", "k", "never")]
            alone = await app.enqueue(program.decision.call("k"))
            await until(lambda: app.count("task:decision status:waiting"))
            assert (await app.complete("decision", "k", "yes")).first
            assert early.first
            assert [await handle.result(timeout=20) for handle in handles[:3]] == ["before", "yes", "yes"]
            assert await alone.result(timeout=20) == "yes"
            assert await handles[3].status() == "waiting"
        assert broken(app) == []


async def test_killed_workers_lose_no_answer(tmp_path: Path) -> None:
    """The worker is killed before, between and after answers come; nothing runs when the last one does."""
    app = program.make_app(tmp_path)
    async with app.connect():
        with Nursery(tmp_path) as workers:
            handles: list[Handle[str]] = []
            for number in range(6):
                worker = workers.spawn()
                handles.append(await app.enqueue(program.decided.call(f"k{number}")))
                await until(lambda at=number: app.count("task:decision") if at % 2 else True)
                answer = asyncio.ensure_future(app.complete("decision", f"k{number // 2}", f"answer {number}"))
                if number % 3:
                    await answer
                workers.kill(worker)
                assert (await answer).first == (number % 2 == 0)
            answers = [await app.complete("decision", f"k{number}", "last") for number in range(6)]
            assert [answer.first for answer in answers] == [False] * 3 + [True] * 3
            workers.spawn()
            results = [await handle.result(timeout=30) for handle in handles]
            assert results == ["answer 0", "answer 2", "answer 4", "last", "last", "last"]
            assert counts(tmp_path)["step 2"] >= 6
        assert broken(app) == []


async def test_many_complete_one_key_at_once(tmp_path: Path) -> None:
    first, second = program.make_app(tmp_path), program.make_app(tmp_path)
    async with first, second.connect():
        handles = [await first.enqueue(program.decision.call(f"k{number}")) for number in range(20)]
        rounds = [
            app.complete("decision", f"k{number}", f"{name} {number}")
            for number in range(20)
            for name, app in (("first", first), ("second", second))
        ]
        answers = await asyncio.gather(*rounds)
        assert sum(answer.first for answer in answers) == 20
        stands = {answer.key: answer.value for answer in answers}
        assert all(answer.value == stands[answer.key] for answer in answers)
        results = [await handle.result(timeout=20) for handle in handles]
        assert results == [stands[f"k{number}"] for number in range(20)]
