"""How often each model version answered held-out requests rightly, as the probe saw it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Score:
    """One version's answers."""

    answered: int = 0
    right: int = 0


@dataclass
class Scores:
    """All versions' answers, and the requests that no version answered."""

    by_version: dict[str, Score] = field(default_factory=dict)
    unrouted: int = 0

    def add(self, version: str, answer: Any, target: Any) -> None:
        """Judges one answer of `POST /predict` to one instance; without a target there is nothing to judge."""
        if target is None:
            return
        score = self.by_version.setdefault(version, Score())
        score.answered += 1
        # labels pass through JSON and through tables whose classes may be text: 3 and "3" are the same class
        score.right += str(answer["predictions"][0].get("label")) == str(target)

    def metrics(self) -> dict[str, float]:
        """accuracy/<version> for each version that answered, and how many requests found none."""
        accuracy = {f"accuracy/{name}": score.right / score.answered for name, score in sorted(self.by_version.items())}
        return {**accuracy, "unrouted": float(self.unrouted)}
