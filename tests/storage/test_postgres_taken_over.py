"""Whoever may create something in a schema that is searched can make operators and functions that fit better than the
server's own: what a statement calls must then still be the server's (CVE-2018-1058)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, LiteralString, cast

import psycopg
import pytest
from psycopg.pq import ExecStatus

from perdure.storage.postgres import PostgresStorage, storage
from perdure.storage.postgres.link import COLLATIONS, best_collation
from perdure.storage.postgres.session import CLOCK, SCANS, Texts
from perdure.testing.conformance.hand import DONE, Hand, activity
from perdure.testing.postgres import Server

TERMS: Final = sorted(Texts("perdure", None)._terms)  # pyright: ignore[reportPrivateUsage]
NAMES: Final = sorted(Texts("perdure", None).of)
INTEGERS: Final = (21, 23, 20)
CALLED: Final = re.compile(r"\b([a-z_]+)\(")
HOSTILE: Final = r"""
CREATE TYPE public.taken AS (over integer);
DO $plant$
DECLARE
    kinds text[] := '{smallint,integer,bigint,numeric,double precision,text,varchar,name,bpchar,json,jsonb,text[],oid,regnamespace,regclass,timestamptz,interval,anyelement,anynonarray,anyarray}';
    texts text[] := '{text,varchar,name,json,integer,boolean,anyelement}';
    body text := ' RETURNS public.taken LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION ''taken over''; END$$';
    l text; r text; x text; o text; f text; wide boolean;
BEGIN
    FOREACH l IN ARRAY kinds LOOP
        FOREACH r IN ARRAY kinds LOOP
            EXECUTE format('CREATE FUNCTION public.take(%s, %s)', l, r) || body;
            FOREACH o IN ARRAY '{=,<>,<,<=,>,>=,+,-,*,||,->,->>,#>>,&,|}'::text[] LOOP
                EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.take, LEFTARG = %s, RIGHTARG = %s)', o, l, r);
            END LOOP;
        END LOOP;
    END LOOP;
    FOR f, wide IN SELECT proname::text, max(pronargs::integer) = 3 FROM pg_catalog.pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace::oid AND proname::text = ANY ('{CALLED}'::text[]) GROUP BY proname
    LOOP
        EXECUTE format('CREATE FUNCTION public.%I()', f) || body;
        FOREACH l IN ARRAY kinds LOOP
            EXECUTE format('CREATE FUNCTION public.%I(%s)', f, l) || body;
        END LOOP;
        FOREACH l IN ARRAY texts LOOP
            FOREACH r IN ARRAY texts LOOP
                EXECUTE format('CREATE FUNCTION public.%I(%s, %s)', f, l, r) || body;
                FOREACH x IN ARRAY CASE WHEN wide THEN texts ELSE '{}' END LOOP
                    EXECUTE format('CREATE FUNCTION public.%I(%s, %s, %s)', f, l, r, x) || body;
                END LOOP;
            END LOOP;
        END LOOP;
    END LOOP;
END $plant$;
"""
"""All that anybody could make of the operators and functions that we call; whatever calls one of them cannot be understood."""


@pytest.fixture(scope="module")
def hostile_url(postgres_server: Server, postgres_template: str) -> Iterator[str]:
    """The URL of a database with our schema, in which somebody else has a say."""
    url = postgres_server.create(postgres_template)
    known = Texts("perdure", None)
    called = {name for text in known.of.values() for name in CALLED.findall(text.decode())}
    called |= {name for text in known._terms.values() for name in CALLED.findall(text)}  # pyright: ignore[reportPrivateUsage]
    called |= {"current_setting", "pg_is_in_recovery", "age", "max", "clock_timestamp", "set_config"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog")
        connection.execute(cast("LiteralString", HOSTILE.replace("CALLED", ",".join(sorted(called)))))
    yield url
    postgres_server.drop(url)


@pytest.fixture
def server(hostile_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(hostile_url, autocommit=True) as connection:
        yield connection


def understood(connection: psycopg.Connection[tuple[object, ...]], text: bytes) -> None:
    """Fails where a statement calls what is not the server's, whatever size of integers the driver sends."""
    server = connection.pgconn
    (taken,) = connection.execute("SELECT 'public.taken'::regtype::oid::int").fetchone() or ()

    def described(types: list[int]) -> list[int]:
        made = server.prepare(b"", text, types)
        assert made.status == ExecStatus.COMMAND_OK, (made.error_message or b"").decode() + text.decode()
        found = server.describe_prepared(b"")
        assert taken not in [found.ftype(column) for column in range(found.nfields)], text.decode()
        return [found.param_type(number) for number in range(found.nparams)]

    kinds = described([])
    for integer in INTEGERS:
        described([integer if kind in INTEGERS else 0 for kind in kinds])


def test_what_is_planted_bites(server: psycopg.Connection[tuple[object, ...]]) -> None:
    for text in (
        b"SELECT 1::numeric * 2",
        b"SELECT jsonb_array_elements($1)",
        b"SELECT 'a' || 1",
        b"SELECT lower($1::name)",
    ):
        with pytest.raises(AssertionError):
            understood(server, text)
    understood(server, b"SELECT 1::numeric * 2::numeric")


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_calls_the_server(server: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    known = Texts("perdure", best_collation(server))
    understood(server, known.matching(name, []))


@pytest.mark.parametrize("term", TERMS)
def test_every_condition_calls_the_server(server: psycopg.Connection[tuple[object, ...]], term: str) -> None:
    known = Texts("perdure", best_collation(server))
    understood(server, known.matching("search_newest", [(term, False), (term, True)]))


@pytest.mark.parametrize("text", [COLLATIONS.encode(), SCANS, CLOCK, storage.FACTS])
def test_every_other_statement_calls_the_server(server: psycopg.Connection[tuple[object, ...]], text: bytes) -> None:
    understood(server, text)


def test_everything_works_where_somebody_else_has_a_say(hostile_url: str) -> None:
    opened = PostgresStorage(f"{hostile_url}?prepare=on")
    opened.migrate(0)
    opened.listen(lambda: None)
    hand = Hand(opened)
    hand.beat("w1")
    hand.add("a", tags='{"k":"v"}')
    hand.add("b")
    assert hand.run("a", DONE, entries=[activity("x")]).status == "completed"
    assert hand.find("tag:k=v") == ["a"]
    hand.cancel("b")
    assert opened.reclaim(hand.now).workers == ()
    opened.seal()
    assert opened.sealed()
    opened.unseal()
    assert opened.status()["hints_work"] is True
    opened.close()
    other = PostgresStorage(hostile_url, schema="other")
    assert other.migrate(0) == 1
    other.close()
