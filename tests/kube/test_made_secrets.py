"""Secrets that were made are taken to be there, for a while."""

from headrace.kube.made_secrets import TRUSTED_SECONDS, MadeSecrets

SECRET = {"kind": "Secret", "metadata": {"name": "token"}}


def test_what_was_made_long_ago_is_doubtful():
    """Not before; and what is doubted is not there until it is made again."""
    now = 0.0
    secrets = MadeSecrets(lambda: now)
    secrets.add("owner", SECRET)
    now = TRUSTED_SECONDS
    assert (secrets.of("owner"), secrets.is_doubtful("owner")) == ((SECRET,), False)
    now += 1
    assert secrets.is_doubtful("owner")
    secrets.doubt("owner")
    assert (secrets.of("owner"), secrets.is_doubtful("owner")) == ((), False)


def test_what_nobody_needs_is_forgotten():
    """By its name; another's stays."""
    secrets = MadeSecrets()
    secrets.add("owner", SECRET)
    secrets.remove("owner", "other")
    assert secrets.of("owner") == (SECRET,)
    secrets.remove("owner", "token")
    assert secrets.of("owner") == ()


def test_those_of_owners_that_are_gone_are_forgotten():
    """A pass that ended after its object was gone has left them."""
    secrets = MadeSecrets()
    secrets.add("owner", SECRET)
    secrets.add("gone", SECRET)
    secrets.keep({"owner", "another"})
    assert (secrets.of("owner"), secrets.of("gone")) == ((SECRET,), ())
