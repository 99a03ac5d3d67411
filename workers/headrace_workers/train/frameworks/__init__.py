"""Trainers of other libraries on a run: what each step ends with is the run's, by the library's own hooks."""
