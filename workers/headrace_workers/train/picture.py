"""loss.png: the losses and the metrics of a run against its steps, to be read at a glance. It needs no display."""

from collections.abc import Sequence
from io import BytesIO

from headrace.api.run_report import CurvePoint

LOSSES = {"trainLoss": "training", "loss": "evaluation"}


def loss_picture(title: str, curve: Sequence[CurvePoint]) -> bytes:
    """A PNG: losses above, the other metrics below where there are any."""
    # Imported here: it takes longer than all the rest of publishing, and only a finished run needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    metrics = sorted({name for point in curve for name in point.values} - set(LOSSES))
    figure = Figure(figsize=(8, 6 if metrics else 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 if metrics else 1, 1, sharex=True, squeeze=False)[:, 0]
    for name, label in LOSSES.items():
        _line(axes[0], curve, name, label)
    axes[0].set_ylabel("loss")
    for name in metrics:
        _line(axes[1], curve, name, name)
    if metrics:
        axes[1].set_ylabel("metric")
    for one in axes:
        one.grid(visible=True, alpha=0.3)
        one.legend()
    axes[0].set_title(title)
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    image = BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def _line(axes: object, curve: Sequence[CurvePoint], name: str, label: str) -> None:
    points = [(point.step, point.values[name]) for point in curve if name in point.values]
    if points:
        steps, values = zip(*points, strict=True)
        # A line of one point is invisible, and evaluations are few: those get marks.
        style = {"marker": "o", "markersize": 4} if len(points) <= 40 else {}
        axes.plot(steps, values, label=f"{label} ({values[-1]:.4g})", **style)  # type: ignore[attr-defined]
