"""What local mode says no to, in words that a person can act on."""

from collections.abc import Sequence

from headrace.api.edits import Refusal


class FolderLocked(Exception):
    """Another program works on the state folder."""


class UnreadableState(Exception):
    """A file of the state folder is not what this version of Headrace writes."""


class AlreadyExists(Exception):
    """An object of this kind and name is there already."""


class CannotStart(Exception):
    """A pod's manifest asks for what this machine cannot give: the pod fails with this reason."""

    def __init__(self, reason: str, message: str) -> None:
        """Keeps the reason (CamelCase) and the sentence without its subject, the pod."""
        super().__init__(message)
        self.reason = reason
        self.message = message


class NotYet(Exception):
    """A pod cannot start now but may later; the message is a sentence without its subject, the pod."""


class Refused(Exception):
    """An edit that may not be made; nothing was changed."""

    def __init__(self, subject: str, refusals: Sequence[Refusal]) -> None:
        """Keeps the refusals; the text names the object and every field."""
        super().__init__(f"{subject}: " + "; ".join(refusal.message for refusal in refusals))
        self.refusals = tuple(refusals)
