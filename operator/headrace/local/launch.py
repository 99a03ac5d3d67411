"""A Pod's manifest as a command of this machine: what is run, with which environment, which files, which folders. Pure.

What a container gets from Kubernetes (mounted volumes, Secrets, its address, its Services) becomes paths and loopback addresses.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.api import environment
from headrace.local.machine import VISIBLE
from headrace.local.pods import LOOPBACK, LocalPod
from headrace.local.processes import POD_UID, STATE
from headrace.local.refusals import CannotStart, NotYet
from headrace.plan.values import Raw

TERMINATION_LOG = "termination-log"
VOLUMES = "volumes"
EVERYWHERE = ("/tmp", "/dev/shm")  # noqa: S108
"""Folders that every machine has: an emptyDir mounted there stays that folder, for socket paths below it must be short."""

REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
OURS = frozenset(
    {value for value in vars(environment).values() if isinstance(value, str) and value.startswith("HEADRACE_")}
    - set(environment.GIVEN)
    | {POD_UID, STATE}
)


@dataclass(frozen=True)
class World:
    """What surrounds a pod on this machine."""

    state_dir: Path
    python: str
    environ: Mapping[str, str]
    """The environment of `headrace` itself, which pods inherit."""
    find: Callable[[str, str], Raw | None]
    """Finds an object of the pod's namespace by kind and name."""
    resolve: Callable[[str], str | None]
    """The loopback address of a Service's address, None for any other text."""
    has_gpus: bool = False


@dataclass(frozen=True)
class Launch:
    """What to run; paths of files and folders are relative to the pod's folder."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


def launch(pod: LocalPod, folder: Path, world: World) -> Launch:
    """The command of a pod. NotYet if something it refers to is not there, CannotStart if this machine cannot do it."""
    container = pod.container
    paths, files, folders = _volumes(pod, folder, world)
    variables = _variables(pod, folder, world, paths)
    command = [*container.get("command", ()), *container.get("args", ())]
    if not command:
        raise CannotStart(
            "NoCommand", "has no command, and local mode has no image to take one from; set command in podTemplate"
        )
    argv = [moved(expanded(word, variables), paths) for word in command]
    if Path(argv[0]).name in ("python", "python3"):
        argv[0] = world.python
    inherited = {
        name: value
        for name, value in world.environ.items()
        if name not in OURS and not name.startswith(environment.port_variable(""))
    }
    gpus = {VISIBLE: ",".join(pod.status.gpus)} if world.has_gpus else {}
    own = {POD_UID: pod.uid, STATE: str(world.state_dir), environment.POD_NAME: pod.name, environment.POD_IP: LOOPBACK}
    return Launch(tuple(argv), {"PYTHONUNBUFFERED": "1", **inherited, **gpus, **variables, **own}, files, folders)


def moved(text: str, paths: Mapping[str, str]) -> str:
    """The text with every path below a mount replaced by the path on this machine; a path starts the text or follows = : , or //."""
    if not paths:
        return text
    mounts = "|".join(re.escape(mount) for mount in sorted(paths, key=len, reverse=True))
    return re.sub(rf"(^|[=:,]|//)({mounts})(?=$|[/:,])", lambda match: match.group(1) + paths[match.group(2)], text)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """The text with $(NAME) replaced by the variable; unknown names stay as they are, as in Kubernetes."""
    return REFERENCE.sub(lambda match: variables.get(match.group(1), match.group(0)), text)


def _variables(pod: LocalPod, folder: Path, world: World, paths: Mapping[str, str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for entry in pod.container.get("env", ()):
        if (source := entry.get("valueFrom")) is not None:
            value = _from_source(pod, entry["name"], source, world)
            if value is None:
                continue
        else:
            written = expanded(entry.get("value", ""), variables)
            value = world.resolve(written) or moved(written, paths)
        variables[entry["name"]] = value
    ports = {environment.port_variable(name): str(port) for name, port in pod.status.ports.items()}
    return {**variables, **ports, environment.TERMINATION_LOG: str(folder / TERMINATION_LOG)}


def _from_source(pod: LocalPod, variable: str, source: Raw, world: World) -> str | None:
    if reference := source.get("fieldRef"):
        return _field(pod, str(reference["fieldPath"]))
    for name, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if reference := source.get(name):
            return _key_of(kind, reference, world)
    raise CannotStart(
        "NotInLocalMode",
        f"takes {variable} from {', '.join(sorted(source))}, which local mode does not know; write its value",
    )


def _field(pod: LocalPod, path: str) -> str:
    metadata = pod.raw["metadata"]
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path):
        return str((metadata.get(match.group(1)) or {}).get(match.group(2), ""))
    known = {
        "metadata.name": pod.name, "metadata.namespace": metadata["namespace"], "metadata.uid": pod.uid,
        "status.podIP": LOOPBACK, "status.hostIP": LOOPBACK, "spec.nodeName": "localhost",
    }  # fmt: skip
    if path not in known:
        raise CannotStart(
            "NotInLocalMode", f"takes a variable from the field {path}, which local mode does not know; write its value"
        )
    return str(known[path])


def _key_of(kind: str, reference: Raw, world: World) -> str | None:
    name, key = str(reference["name"]), str(reference["key"])
    data = contents(kind, name, world, optional=bool(reference.get("optional")))
    if key in data:
        return data[key].decode()
    if reference.get("optional"):
        return None
    raise NotYet(f"waits for the key {key} of the {kind} {name}")


def contents(kind: str, name: str, world: World, *, optional: bool = False) -> dict[str, bytes]:
    """The data of a Secret or ConfigMap; NotYet if it is not there."""
    raw = world.find(kind, name)
    if raw is None:
        if optional:
            return {}
        raise NotYet(f"waits for the {kind} {name}")
    binary: dict[str, Any] = (raw.get("data") if kind == "Secret" else raw.get("binaryData")) or {}
    text: dict[str, Any] = (raw.get("stringData") if kind == "Secret" else raw.get("data")) or {}
    return {key: base64.b64decode(value) for key, value in binary.items()} | {
        key: str(value).encode() for key, value in text.items()
    }


def _volumes(pod: LocalPod, folder: Path, world: World) -> tuple[dict[str, str], dict[str, bytes], tuple[str, ...]]:
    """Where mounts are on this machine, the files to write, the folders to make."""
    volumes = {volume["name"]: volume for volume in pod.raw["spec"].get("volumes", ())}
    paths: dict[str, str] = {}
    files: dict[str, bytes] = {}
    folders: list[str] = []
    for mount in pod.container.get("volumeMounts", ()):
        name, target = str(mount["name"]), str(mount["mountPath"]).rstrip("/")
        volume = volumes.get(name, {})
        if "emptyDir" in volume and target in EVERYWHERE:
            continue
        place = f"{VOLUMES}/{name}"
        if "hostPath" in volume:
            paths[target] = _below(str(volume["hostPath"]["path"]), mount)
            continue
        if "configMap" in volume:
            files |= {
                f"{place}/{key}": data
                for key, data in _projected("ConfigMap", volume["configMap"], "name", world).items()
            }
        elif "secret" in volume:
            files |= {
                f"{place}/{key}": data
                for key, data in _projected("Secret", volume["secret"], "secretName", world).items()
            }
        elif "emptyDir" not in volume:
            source = next((key for key in sorted(volume) if key != "name"), "nothing")
            raise CannotStart(
                "NotInLocalMode",
                f"mounts the volume {name} from {source}, which local mode does not have; use hostPath there",
            )
        folders.append(place)
        paths[target] = _below(str(folder / place), mount)
    return paths, files, tuple(folders)


def _below(path: str, mount: Raw) -> str:
    return f"{path.rstrip('/')}/{mount['subPath']}" if mount.get("subPath") else path


def _projected(kind: str, source: Raw, name_field: str, world: World) -> dict[str, bytes]:
    data = contents(kind, str(source[name_field]), world, optional=bool(source.get("optional")))
    if "items" not in source:
        return data
    missing = next((item["key"] for item in source["items"] if item["key"] not in data), None)
    if missing is not None:
        raise NotYet(f"waits for the key {missing} of the {kind} {source[name_field]}")
    return {str(item["path"]): data[item["key"]] for item in source["items"]}
