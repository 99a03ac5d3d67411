"""Why encoded bytes cannot be used."""


class Undecodable(ValueError):
    """The bytes cannot be used; `code` is the quarantine's, the text goes on after the record's name: "is empty"."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class TooSmall(Undecodable):
    """An image with fewer pixels than the pipeline keeps: nothing is wrong with it."""
