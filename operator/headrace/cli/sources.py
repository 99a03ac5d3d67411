"""Where manifests come from: files, folders of them, or standard input. Reads text only; meaning is api.manifest's."""

import sys
from collections.abc import Iterable
from pathlib import Path

from headrace.cli.errors import REFUSED, Sentence

SUFFIXES = (".yaml", ".yml")
STANDARD_INPUT = "-"


def read_texts(names: Iterable[str]) -> list[tuple[str, str]]:
    """(source name, YAML text) of every file named, folders opened in the order of names; Sentence if one cannot be read."""
    return [_read(name) for given in names for name in _files(given)]


def _files(given: str) -> list[str]:
    path = Path(given)
    if given == STANDARD_INPUT or not path.is_dir():
        return [given]
    found = sorted(
        str(file)
        for file in path.rglob("*")
        if file.suffix in SUFFIXES and file.is_file() and not _hidden(file.relative_to(path))
    )
    if not found:
        raise Sentence(f"the folder {given} has no .yaml file; name a folder or a file with manifests", REFUSED)
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read(name: str) -> tuple[str, str]:
    if name == STANDARD_INPUT:
        return "stdin", sys.stdin.read()
    try:
        return name, Path(name).read_text()
    except FileNotFoundError as error:
        raise Sentence(f"there is no file {name}; name a file or a folder of manifests", REFUSED) from error
    except UnicodeDecodeError as error:
        raise Sentence(f"{name} is not text; name a YAML file", REFUSED) from error
    except OSError as error:
        raise Sentence(f"{name} cannot be read: {error.strerror}", REFUSED) from error
