"""Counts."""

from lambdakit._entries import Entry
from lambdakit._tally import Tallies


def test_a_tally_begins_with_nothing() -> None:
    """Of a key that was never heard of too."""
    assert Tallies()["new"].counts() == {"hits": 0, "fetches": 0, "stale": 0, "errors": 0, "waits": 0}


def test_fetches_and_errors_of_what_was_brought() -> None:
    """Each key by itself."""
    tallies = Tallies()
    tallies.note({"a": Entry("v"), "b": ValueError()})
    tallies.note({"a": ValueError()})
    assert [(tallies[key].fetches, tallies[key].errors) for key in "ab"] == [(2, 1), (1, 1)]


def test_copies_add_the_hits_of_what_is_kept() -> None:
    """Hits of entries that are gone, and of the one that is there; of keys with an entry only, and of none."""
    tallies = Tallies()
    tallies["gone"].hits = 3
    tallies["kept"].hits = 5
    kept, only = Entry("v"), Entry("v")
    kept.hits, only.hits = 7, 2
    counted, rest = tallies.copies({"kept": kept, "only": only, "none": None})
    assert {key: tally.hits for key, tally in counted.items()} == {"gone": 3, "kept": 12, "only": 2, "none": 0}
    assert rest.hits == 0


def test_copies_are_copies() -> None:
    """What is counted afterwards is not in them, nor does adding to them count."""
    tallies = Tallies(most=1)
    tallies["a"].waits = 1
    counted, rest = tallies.copies({})
    counted["a"].waits = rest.waits = 99
    tallies["a"].stale = 1
    assert (tallies["a"].waits, tallies.rest.waits, counted["a"].stale) == (1, 0, 0)


def test_keys_are_bounded_and_nothing_is_lost() -> None:
    """At the limit all are counted one by one; past it the first ones together."""
    tallies = Tallies(most=3)
    for number in range(3):
        tallies[number].fetches = 1
        tallies[number].hits = 10
        tallies[number].stale = 100
        tallies[number].errors = 1000
        tallies[number].waits = 10_000
    assert tallies.rest.fetches == 0
    tallies[3].fetches = 1
    tallies[4].fetches = 1
    assert [*tallies] == [2, 3, 4]
    assert tallies.copies({})[1].counts() == {
        "hits": 20,
        "fetches": 2,
        "stale": 200,
        "errors": 2000,
        "waits": 20_000,
    }


def test_twice_as_many_keys_as_values_are_counted_by_default() -> None:
    """The values that are kept all have their own."""
    tallies = Tallies()
    for number in range(2001):
        tallies[number].fetches = 1
    assert (len(tallies), tallies.rest.fetches) == (2000, 1)
