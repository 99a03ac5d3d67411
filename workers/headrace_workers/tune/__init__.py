"""Searches around a TrainJob's spec: a head that asks Optuna, and trials that are trainings on the run's workers.

The one package of the workers that stands above another: a trial is a training, so `train` is imported here and
nowhere the other way round.
"""
