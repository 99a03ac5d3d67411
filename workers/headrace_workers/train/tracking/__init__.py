"""Tracking a run in other tools: what is told, how it is delivered, and a file for each tool. Training never waits for it."""
