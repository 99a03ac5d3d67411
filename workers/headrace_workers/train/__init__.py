"""Training: from a pinned dataset version to a published model version. `python -m headrace_workers.train` is its head."""
