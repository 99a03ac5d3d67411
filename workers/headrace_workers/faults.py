"""How a run ends badly, in words a user can act on."""


class RunFault(Exception):
    """A fault with a CamelCase reason and a sentence that names the object, the fact and the next step.

    `retryable` is false where another attempt would end the same way: a fault of the manifest, the code or the data.
    """

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        """Keeps the fault; `message` is what the user reads."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable

    def __reduce__(self) -> tuple[object, ...]:
        """Keeps the reason when a Ray task raises it: exceptions travel by their arguments."""
        return _fault, (self.reason, self.message, self.retryable)


def _fault(reason: str, message: str, retryable: bool) -> RunFault:
    return RunFault(reason, message, retryable=retryable)


class Interrupted(Exception):
    """The pod was asked to go (SIGTERM), and its state is saved."""
