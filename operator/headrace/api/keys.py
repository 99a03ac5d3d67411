"""Keys of hash and encrypt: only named here. A Secret holds them, and they reach the workers that need them alone."""

from typing import Annotated

from pydantic import Field

from headrace.api.base import Model

WORDS = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""Without two hyphens in a row, so that no two keys have one variable."""

KeyWords = Annotated[str, Field(min_length=1, max_length=63, pattern=WORDS)]
"""Lower-case words with hyphens between them."""


class Key(Model):
    """A key in a Secret of the same namespace: 32 random bytes, in base64, as `openssl rand -base64 32` makes them."""

    secret: Annotated[KeyWords, Field(description="The Secret's name.")]
    id: Annotated[
        KeyWords,
        Field(
            description="Which key of the Secret. Encrypted values carry it, so that a new one may follow while the old one, kept in the Secret, still reads what it wrote; never change the bytes of one that was used."
        ),
    ]

    @property
    def variable(self) -> str:
        """The variable of the workers' environment that holds the key; in local mode, of the shell."""
        return f"HEADRACE_KEY_{self.secret}__{self.id}".replace("-", "_").upper()
