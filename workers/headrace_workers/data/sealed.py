"""Files that only their own run can read: what a private record is on its way, before the steps that hide it were done.

Encrypted by AES-256-GCM under a key derived from the run's token, each bound to its name. The token goes with the object;
what a run that never ended leaves behind is noise then.
"""

import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace_workers.data import keys
from headrace_workers.storage import Folder

NONCE_BYTES = 12
NAME_BYTES = 4


def seal_of(token: str) -> bytes:
    """The key of a run's files; empty where there is no token, and nothing is sealed."""
    return keys.derived(token.encode(), "pieces") if token else b""


def folder_name(name: str, seal: bytes) -> str:
    """The folder's name: under another token, what lies there could not be read, and another folder is begun."""
    return f"{name}-{keys.derived(seal, 'name')[:NAME_BYTES].hex()}" if seal else name


@dataclass(frozen=True)
class SealedFolder(Folder):
    """A folder whose files are encrypted; with an empty seal, a plain one."""

    seal: bytes = field(default=b"", repr=False)

    def read(self, name: str) -> bytes:
        """The file's content; InvalidTag if it was changed or is another's."""
        data = super().read(name)
        return AESGCM(self.seal).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], name.encode()) if self.seal else data

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Writes a file whole."""
        if self.seal:
            nonce = os.urandom(NONCE_BYTES)
            data = nonce + AESGCM(self.seal).encrypt(nonce, data, name.encode())
        super().write(name, data)
