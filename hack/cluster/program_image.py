"""Packs one static program as an image archive: program_image.py PROGRAM IMAGE ARCHIVE. Needs nothing but Python."""

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    """Adds a file."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def main() -> None:
    """Writes the archive."""
    program, image, target = sys.argv[1:]
    name = Path(program).name
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as layer:
        add(layer, name, Path(program).read_bytes(), 0o755)
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    machine = platform.machine()
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Entrypoint": [f"/{name}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    config_bytes = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(config_bytes).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [image], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as archive:
        add(archive, config_name, config_bytes)
        add(archive, "layer.tar", packed.getvalue())
        add(archive, "manifest.json", json.dumps(manifest).encode())


main()
