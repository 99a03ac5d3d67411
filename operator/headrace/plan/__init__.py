"""The decisions: pure functions of what was observed and of the time. No I/O, no clock, no randomness, no memory."""
