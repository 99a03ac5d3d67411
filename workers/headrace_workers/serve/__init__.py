"""What answers users: servers of model versions, the router before them, and the probe that sends held-out requests."""
