"""The manifests of these tests: digits without augmentation, a slow perceptron on two workers, an endpoint."""

PIPELINE = """
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: digits}
spec:
  source:
    sample: {name: Digits}
  steps:
  - split: {trainFraction: 0.8, key: id}
  - scale: {column: image, method: Standard}
  sink:
    delta: {}
  workers: {min: 1, max: 1, resources: {cpu: 500m, memory: 1Gi}}
"""

ENDPOINT = """
apiVersion: headrace.dev/v1alpha1
kind: InferenceEndpoint
metadata: {name: digits}
spec:
  replicas: {min: 1, max: 1}
  resources: {cpu: 250m, memory: 1Gi}
"""

EVERY_STEPS = 20
PAUSE_SECONDS = 0.04


def train_job(name: str, epochs: int = 10, endpoint: str | None = None, slow_file: str = "") -> str:
    """A TrainJob of 23 steps an epoch, each at least 40 ms long, with a checkpoint every 20 steps; `slow_file` has it slower on one pod."""
    rollout = f"  rollout: {{endpoint: {endpoint}}}\n" if endpoint else ""
    return f"""
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {{name: {name}}}
spec:
  dataset: {{pipeline: digits}}
  model: {{module: "slow_model:build", parameters: {{pause_seconds: {PAUSE_SECONDS}, slow_file: "{slow_file}"}}}}
  optimizer: {{name: AdamW, learningRate: 0.004}}
  epochs: {epochs}
  batchSize: 64
  evaluation: {{split: validation, metrics: [accuracy], everySteps: 50}}
  workers: {{min: 2, max: 2, resources: {{cpu: 400m, memory: 1Gi}}}}
  checkpoints: {{everySteps: {EVERY_STEPS}, keep: 3}}
  recovery: {{maxRestarts: 3, backoffSeconds: 1}}
{rollout}"""
