"""Folders behind a URI (file:, s3:, gs:, abfs:, hdfs:), written so that a reader never sees half a file.

This is the only file of the workers that knows how a URI becomes a file system.
"""

import errno
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

FULL = ("no space left", "quota exceeded", "os error 28", "os error 122")


def is_full(error: BaseException) -> bool:
    """Whether the error says that a disk is full or a quota spent; libraries that are not Python's say it in words alone."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(sign in str(error).lower() for sign in FULL)


def full_words(uri: str) -> str:
    """What a person is told of a storage that is full."""
    return f"the storage {uri} is full; free space or give it more, the run goes on from here"


@dataclass(frozen=True)
class Folder:
    """One folder of a storage; names are relative, with forward slashes."""

    uri: str

    def sub(self, name: str) -> "Folder":
        """A folder inside this one."""
        return Folder(f"{self.uri.rstrip('/')}/{name}")

    def _file_system(self) -> tuple[Any, str]:
        file_system, path = url_to_fs(self.uri)
        return file_system, path.rstrip("/")

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder of this name is there."""
        file_system, path = self._file_system()
        return bool(file_system.exists(f"{path}/{name}" if name else path))

    def read(self, name: str) -> bytes:
        """A file's bytes; FileNotFoundError if there is none."""
        file_system, path = self._file_system()
        return bytes(file_system.cat_file(f"{path}/{name}"))

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Writes a file whole or not at all: on local disks through a rename, on object stores by one put."""
        file_system, path = self._file_system()
        target = f"{path}/{name}"
        file_system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if isinstance(file_system, fsspec.get_filesystem_class("file")):
            partial = Path(f"{target}.partial")
            partial.write_bytes(data)
            partial.replace(target)
        else:
            file_system.pipe_file(target, bytes(data))

    def create(self, name: str, data: bytes) -> None:
        """Writes a file whole, and only if there is none; FileExistsError if there is.

        Of several who try, one succeeds: on local disks by a link, on object stores by a conditional put, where fsspec's
        file system of that store has one (s3:, gs:); elsewhere two that try in the same instant are not told apart.
        """
        file_system, path = self._file_system()
        target = f"{path}/{name}"
        file_system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if isinstance(file_system, fsspec.get_filesystem_class("file")):
            partial = Path(f"{target}.{secrets.token_hex(8)}.partial")
            partial.write_bytes(data)
            try:
                os.link(partial, target)
            finally:
                partial.unlink()
            return
        if file_system.exists(target):
            raise FileExistsError(target)
        file_system.pipe_file(target, data, mode="create")

    def append(self, name: str, data: bytes) -> None:
        """Adds to a file's end; where the store cannot append, the file is read and written whole."""
        file_system, path = self._file_system()
        target = f"{path}/{name}"
        file_system.makedirs(path, exist_ok=True)
        if isinstance(file_system, fsspec.get_filesystem_class("file")):
            with Path(target).open("ab") as file:
                file.write(data)
        else:
            self.write(name, (self.read(name) if self.exists(name) else b"") + data)

    def names(self) -> list[str]:
        """The names of the files and folders directly inside, sorted; none if the folder is not there."""
        file_system, path = self._file_system()
        if not file_system.exists(path):
            return []
        file_system.invalidate_cache(path)
        return sorted(entry.rstrip("/").rsplit("/", 1)[1] for entry in file_system.ls(path, detail=False))

    def delete(self, name: str) -> None:
        """Removes a file or a folder with all in it; no error if there is none."""
        file_system, path = self._file_system()
        if file_system.exists(f"{path}/{name}"):
            file_system.rm(f"{path}/{name}", recursive=True)

    def rename(self, old: str, new: str) -> None:
        """Moves a file or folder inside this one; on object stores this copies."""
        file_system, path = self._file_system()
        file_system.mv(f"{path}/{old}", f"{path}/{new}", recursive=True)
