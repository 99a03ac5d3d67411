"""How numbers, times and places are worded, everywhere the same. Pure; no colour, no table."""

import os
from pathlib import Path

FILE_SCHEME = "file://"


def count(number: int | float) -> str:
    """A whole number with separators: 1,797."""
    return f"{int(number):,}"


def measure(number: float) -> str:
    """A metric or a rate in a few digits: 0.978, 12.3, 1,450."""
    if number != 0 and abs(number) < 0.001:
        return f"{number:.2e}"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"


def duration(seconds: float) -> str:
    """A span of time: 8 s, 2 min 5 s, 1 h 2 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plural(number: int, noun: str) -> str:
    """A number and its noun: 1 object, 4 objects."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def metrics_text(metrics: dict[str, float], limit: int = 4) -> str:
    """Metrics in the order of their names: accuracy 0.978, loss 0.081."""
    return ", ".join(f"{name} {measure(metrics[name])}" for name in sorted(metrics)[:limit])


def local_path(uri: str) -> Path | None:
    """The path of a file: URI; None for storage elsewhere."""
    return Path("/" + uri.removeprefix("file:").lstrip("/")) if uri.startswith("file:") else None


def place(uri: str | Path) -> str:
    """Where something is, as short as it can be typed from here: a relative path below the current folder, else the whole."""
    path = uri if isinstance(uri, Path) else local_path(uri)
    if path is None:
        return str(uri)
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
