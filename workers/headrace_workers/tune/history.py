"""The history of a search: the best objective against finished trials, as a curve and as a picture.

Both follow from the journal alone, so that a head that comes back draws the same ones.
"""

import io
import json
from collections.abc import Sequence

from headrace.api.run_report import CurvePoint
from headrace.api.tune_job import Goal, Objective
from headrace_workers.tune.journal import State, TrialRecord


def curve(ended: Sequence[TrialRecord], objective: Objective) -> list[CurvePoint]:
    """One point for each trial that ran whole or was pruned, in the order they ended: its objective and the best so far."""
    better = max if objective.goal is Goal.MAXIMIZE else min
    best: float | None = None
    points = []
    for step, trial in enumerate(ended, start=1):
        if trial.value is None:
            continue
        if trial.state is State.COMPLETE:
            best = trial.value if best is None else better(best, trial.value)
        own = {objective.metric: trial.value}
        points.append(CurvePoint(step=step, values=own if best is None else {**own, "best": best}))
    return points


def curve_lines(points: Sequence[CurvePoint]) -> bytes:
    """The points as the run's storage keeps them."""
    return b"".join(json.dumps({"step": point.step, **point.values}).encode() + b"\n" for point in points)


def picture(trials: Sequence[TrialRecord], objective: Objective, title: str) -> bytes:
    """A PNG of every trial's objective by its number, with the best so far as a line. Failed trials stand at the foot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    marks = {State.COMPLETE: ("o", "#1f77b4", "complete"), State.PRUNED: ("x", "#9a9a9a", "stopped early")}
    by_number = sorted(trials, key=lambda trial: trial.number)
    for state, (marker, colour, label) in marks.items():
        shown = [(trial.number, trial.value) for trial in by_number if trial.state is state]
        if shown:
            axes.scatter(*zip(*shown, strict=True), marker=marker, color=colour, label=label, zorder=3)
    if failed := [trial.number for trial in by_number if trial.state is State.FAILED]:
        foot = axes.get_xaxis_transform()
        at_foot = [0.0] * len(failed)
        axes.scatter(
            failed, at_foot, transform=foot, clip_on=False, marker="v", color="#d62728", label="failed", zorder=3
        )
    best = [(trial.number, point.values["best"]) for trial, point in _with_best(by_number, objective)]
    if best:
        axes.step(*zip(*best, strict=True), where="post", color="#ff7f0e", label="best so far")
    axes.set(title=title, xlabel="trial", ylabel=f"{objective.metric} ({objective.goal.lower()})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _with_best(by_number: Sequence[TrialRecord], objective: Objective) -> list[tuple[TrialRecord, CurvePoint]]:
    points = {point.step: point for point in curve(by_number, objective) if "best" in point.values}
    return [(trial, points[step]) for step, trial in enumerate(by_number, start=1) if step in points]
