"""The DataPipeline's run: read a source, pass its records through steps, commit one version of a table.

A run is cut into shards (pieces of the source) and stages (steps between two points where all records must be known).
Every finished piece is a file in the run's storage, so a run that is killed anywhere goes on from there; the table changes
once, by one commit, at the end. No record is ever lost uncounted.
"""
