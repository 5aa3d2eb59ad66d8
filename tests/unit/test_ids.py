"""Ids: in order of time, derived ones always the same, all of them version 7 UUIDs."""

from __future__ import annotations

import uuid

import pytest

from perdure.ids import Ids, derived, derived_random

NOW = 1_767_225_600_000


def test_ids_are_version_7_and_carry_their_moment() -> None:
    made = uuid.UUID(Ids().new(NOW))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == NOW


def test_ids_of_one_stream_rise_even_when_the_clock_stands_or_falls_back() -> None:
    ids = Ids()
    made = [ids.new(NOW + step) for step in (0, 0, 0, 5, -100_000, 5, 6)]
    made += [ids.new(NOW) for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_two_streams_do_not_meet() -> None:
    one, two = Ids(), Ids()
    assert not {one.new(NOW) for _ in range(1000)} & {two.new(NOW) for _ in range(1000)}


def test_a_seed_repeats_the_stream() -> None:
    assert [Ids(5).new(NOW) for _ in range(2)] == [Ids(5).new(NOW) for _ in range(2)]
    assert Ids(5).uniform(0, 1) == Ids(5).uniform(0, 1)
    assert Ids(5).new(NOW) != Ids(6).new(NOW)


def test_a_derived_id_is_stable_for_all_time() -> None:
    parent = "019b7691-8c00-7abc-8123-456789abcdef"
    assert derived(parent, "child:1") == derived(parent, "child:1")
    assert derived(parent, "child:1") == "019b7691-8c00-7c46-b252-6e5b59cb7014"


def test_a_derived_id_depends_on_parent_and_key() -> None:
    parent = Ids(1).new(NOW)
    made = {derived(parent, str(number)) for number in range(10_000)}
    assert len(made) == 10_000
    assert derived(Ids(2).new(NOW), "0") not in made


@pytest.mark.parametrize("parent", ["019b7691-8c00-7abc-8123-456789abcdef", "order-42", "", "x", "ü" * 255, "g" * 36])
def test_any_parent_gives_a_well_formed_id(parent: str) -> None:
    assert uuid.UUID(derived(parent, "k")).version == 7


def test_a_derived_id_stands_beside_its_parent_in_time() -> None:
    parent = Ids().new(NOW)
    assert derived(parent, "k")[:13] == parent[:13]


def test_derived_randomness_belongs_to_one_call() -> None:
    assert derived_random("a", "k").random() == derived_random("a", "k").random()
    assert derived_random("a", "k").random() != derived_random("a", "l").random()
    assert derived_random("b", "k").random() != derived_random("a", "k").random()
