"""Local mode: the port on processes and a folder. No cluster, no Docker: pods are processes, objects are files.

Nothing here may import Ray, torch or the worker package, and nothing here decides what a run does next.
"""

from headrace.local.cluster import LocalCluster
from headrace.local.lock import is_held
from headrace.local.logs import log_paths
from headrace.local.refusals import FolderLocked, Refused, UnreadableState
from headrace.local.store import read_objects

__all__ = ["FolderLocked", "LocalCluster", "Refused", "UnreadableState", "is_held", "log_paths", "read_objects"]
