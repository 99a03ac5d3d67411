"""The names of the environment variables that carry addresses, ports and identities into a pod.

Everything else a pod needs is in its RunSpec. Both sides read the names here, so that neither can drift. What has a
default is given only where it differs: of thousands of pods, each byte is kept and sent many times.
"""

RUN_SPEC = "HEADRACE_RUN_SPEC"
"""Path of the JSON file with the pod's RunSpec, ServeSpec, RouterSpec or ProbeSpec."""

TERMINATION_LOG = "HEADRACE_TERMINATION_LOG"
TERMINATION_LOG_DEFAULT = "/dev/termination-log"
"""Path to which the final RunReport is written."""

TOKEN = "HEADRACE_TOKEN"  # noqa: S105
"""The run's own secret: the bearer token of /report and Ray's authentication token."""

POD_NAME = "HEADRACE_POD_NAME"
POD_IP = "HEADRACE_POD_IP"
"""The address on which the pod's servers listen."""

HEAD_ADDRESS = "HEADRACE_HEAD_ADDRESS"
"""host:port of the run's Ray head."""

HEAD_REPORT_ADDRESS = "HEADRACE_HEAD_REPORT_ADDRESS"
"""host:port where the run's head answers GET /report and POST /departures."""

GRACE_SECONDS = "HEADRACE_GRACE_SECONDS"
GRACE_SECONDS_DEFAULT = 60
"""How long the pod may take to end after SIGTERM."""

ROUTER_ADDRESS = "HEADRACE_ROUTER_ADDRESS"
"""host:port of the endpoint's router."""

CPUS = "HEADRACE_CPUS"
CPUS_DEFAULT = 1
GPUS = "HEADRACE_GPUS"
GPUS_DEFAULT = 0
"""What the pod has of them, in whole numbers."""

RAY_RUNTIME_ENV = "HEADRACE_RAY_RUNTIME_ENV"
"""1 on all pods of a run whose Ray needs runtime environments, as Ray Train does."""

DRAIN_SECONDS = "HEADRACE_DRAIN_SECONDS"
PROBE_SECONDS = "HEADRACE_PROBE_SECONDS"

KAFKA_PASSWORD = "HEADRACE_KAFKA_PASSWORD"  # noqa: S105
"""The SASL password of source.kafka."""

SQL_URL = "HEADRACE_SQL_URL"
"""The address of source.sql's database."""

GIVEN = (KAFKA_PASSWORD, SQL_URL)
"""Those that a user gives: by a Secret, or in local mode by the shell."""

PORT_REPORT = "HEADRACE_PORT_REPORT"
PORT_RAY = "HEADRACE_PORT_RAY"
PORT_HTTP = "HEADRACE_PORT_HTTP"


def webhook_variable(place: int) -> str:
    """The variable that carries the address of the webhook of the alert at a place of the list."""
    return f"HEADRACE_WEBHOOK_{place}"


def port_variable(port_name: str) -> str:
    """The variable that carries the number of a named container port."""
    return f"HEADRACE_PORT_{port_name.upper()}"
