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
