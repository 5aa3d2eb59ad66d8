"""URLs in messages: no password, nor a part of one, and of a schema all that it takes to find it again."""

from __future__ import annotations

import pytest

from perdure import Perdure
from perdure.storage.urls import in_schema, is_torn, without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////srv/a:b@c/shop.db", "sqlite:////srv/a:b@c/shop.db"),
        ("memory://", "memory://"),
        ("postgresql://db.example:5432/shop", "postgresql://db.example:5432/shop"),
        ("postgresql://one:1,two:2/shop?sslmode=require", "postgresql://one:1,two:2/shop?sslmode=require"),
        ("postgresql://ann@[::1]:5432/shop", "postgresql://ann@[::1]:5432/shop"),
        ("postgresql://[::1]:5432/shop", "postgresql://[::1]:5432/shop"),
        ("postgresql://ann:secret@db/shop", "postgresql://ann:***@db/shop"),
        ("postgresql://db/shop?user=ann&password=secret&x=y", "postgresql://db/shop?user=ann&password=***&x=y"),
        ("postgresql://db/shop?password=sec&ret", "postgresql://db/shop?password=***&***"),
        ("postgresql:///shop?sslpassword=se%20cret", "postgresql:///shop?sslpassword=***"),
        (
            "postgresql://a:secret@p/x?hints=on&listen_url=postgresql%3A//a:secret@direct/x",
            "postgresql://a:***@p/x?hints=on&listen_url=postgresql://a:***@direct/x",
        ),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert not is_torn(url)
    assert shown in repr(Perdure(url))


@pytest.mark.parametrize(
    "password", ["sec@ret", "sec#ret", "sec/ret", "sec?ret", "sec[ret", "1/sec@ret#@", "sec?a=ret"]
)
def test_what_is_not_encoded_is_masked_as_a_whole(password: str) -> None:
    url = f"postgresql://ann:{password}@db:5432/shop?sslmode=require"
    shown = without_password(url)
    assert "sec" not in shown
    assert "ret" not in shown
    assert is_torn(url)


def test_a_password_without_a_host_is_no_port() -> None:
    assert without_password("postgresql://ann:secret/shop") == "postgresql://***"


@pytest.mark.parametrize(
    ("url", "schema", "whole"),
    [
        ("postgresql://db/shop", "perdure", "postgresql://db/shop"),
        ("postgresql://db/shop", "jobs", "postgresql://db/shop?schema=jobs"),
        ("postgres://db/shop?sslmode=require", "jobs", "postgres://db/shop?sslmode=require&schema=jobs"),
        ("postgresql://db/shop?schema=mine", "jobs", "postgresql://db/shop?schema=mine"),
        ("sqlite:///shop.db", "jobs", "sqlite:///shop.db"),
    ],
)
def test_the_schema_is_part_of_the_url(url: str, schema: str, whole: str) -> None:
    assert in_schema(url, schema) == whole
