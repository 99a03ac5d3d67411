"""Pipelines that do not end: epochs of what was read, each visible whole with where it was read up to, or not at all."""
