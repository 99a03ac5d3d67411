"""Figures beside their bounds, and whether one was missed."""

TOLERANCE = 1.2
"""Machines are noisy."""


class Verdict:
    """Prints figures beside their bounds, and remembers what was missed."""

    def __init__(self) -> None:
        self.missed = False

    def judge(self, what: str, figure: float, bound: float, unit: str = "x") -> None:
        """One line; missed if the figure is more than a fifth above its bound."""
        missed = figure > bound * TOLERANCE
        self.missed |= missed
        print(f"{'MISSED ' if missed else ''}{what}: {figure:.2f} {unit}, bound {bound:g}", flush=True)
