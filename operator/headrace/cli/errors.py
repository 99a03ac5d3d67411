"""How a command gives up: one sentence for the person, one exit code for the script."""

FAILED = 1
REFUSED = 2
"""The manifests, the edit or the name cannot be accepted as written."""
INTERRUPTED = 130


class Sentence(Exception):
    """Ends a command with a sentence that says the fact and the next step."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        """Keeps the exit code beside the sentence."""
        super().__init__(sentence)
        self.code = code
