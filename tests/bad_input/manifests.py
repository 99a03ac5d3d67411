"""Small manifests for runs that go wrong: each asks for so much CPU that two cores run one of them at a time."""

from pathlib import Path


def csv_pipeline(name: str, source: Path, steps: str = "", sink: str = "", cpu: str = "1200m") -> str:
    """A pipeline over CSV files; `steps` is the inside of a YAML list, `sink` a URI."""
    return f"""\
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {{name: {name}}}
spec:
  source:
    files: {{uri: "file://{source}", format: Csv}}
  steps: [{steps}]
  sink:
    delta: {{{f"uri: '{sink}'" if sink else ""}}}
  workers: {{min: 1, max: 1, resources: {{cpu: {cpu}, memory: 512Mi}}}}
  recovery: {{maxRestarts: 1, backoffSeconds: 1}}
"""


WINE = """\
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: wine}
spec:
  source: {sample: {name: Wine}}
  steps:
  - split: {trainFraction: 0.8, key: id}
  sink: {delta: {}}
  workers: {min: 1, max: 1, resources: {cpu: 1200m, memory: 512Mi}}
"""


def wine_job(name: str, module: str) -> str:
    """A job that trains a user's module on the wines, and would be tried three times."""
    return f"""\
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {{name: {name}}}
spec:
  dataset: {{pipeline: wine}}
  model: {{module: "{module}"}}
  epochs: 2
  batchSize: 16
  workers: {{min: 1, max: 1, resources: {{cpu: 1200m, memory: 1Gi}}}}
  recovery: {{maxRestarts: 2, backoffSeconds: 1}}
"""
