"""Who takes the common state from whom, and what is left of a group."""

from headrace_workers.train.quorum import Member, Membership


def group(*moves: int) -> Membership:
    return Membership("1", tuple(Member(f"m{n}", f"h{n}:1", f"h{n}:2", done) for n, done in enumerate(moves)))


def test_those_that_are_behind_are_spread_over_those_that_are_not() -> None:
    """Each of the three newcomers asks another of the two that trained, in turn."""
    found = group(7, 0, 7, 0, 6)
    assert [source.identity if (source := found.source_for(f"m{n}")) else None for n in range(5)] == [
        None, "m0", None, "m2", "m0",
    ]  # fmt: skip


def test_nobody_is_behind_at_the_beginning() -> None:
    """Ranks that all have done nothing begin together."""
    assert group(0, 0).source_for("m1") is None and group(0, 0).most_moves == 0


def test_what_is_left_has_a_name_of_its_own() -> None:
    """All that stay derive the same group, and no other group is called like it."""
    left = group(5, 5, 5).without(frozenset({1}))
    assert [member.identity for member in left.members] == ["m0", "m2"]
    assert left.name not in {group(5, 5, 5).name, group(5, 5, 5).without(frozenset({2})).name}


def test_who_is_missing_is_known_to_all() -> None:
    """One that joins was in no group, and learns from the others whom they miss."""
    stays, joins = Member("m0", "h:1", "h:2", 5, ("m0", "m1")), Member("m2", "h:1", "h:2", 0)
    assert Membership("1", (stays, joins)).missing == {"m1"}
    assert Membership("1", (joins,)).missing == frozenset()


def test_one_of_two_parts_has_the_majority() -> None:
    """Of four split into two halves it is the one with the oldest; of three the two."""
    four, three = group(5, 5, 5, 5), group(5, 5, 5)
    halves = four.without(frozenset({2, 3})), four.without(frozenset({0, 1}))
    assert [half.has_majority_of(four) for half in halves] == [True, False]
    parts = three.without(frozenset({0})), three.without(frozenset({1, 2}))
    assert [part.has_majority_of(three) for part in parts] == [True, False]


def test_those_that_are_left_tell_what_they_made() -> None:
    """One was a move behind when the third was lost, and takes over from the other; all know who is missing."""
    before = group(5, 5, 5)
    left = before.without(frozenset({1})).after(before, [8, 7])
    source = left.source_for("m2")
    assert source and source.identity == "m0" and left.source_for("m0") is None
    assert left.missing == {"m1"}
