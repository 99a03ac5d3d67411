"""Start a Ray node of a run with the processes that a run needs, and no others.

Ray starts seven processes for a head (600 MB, 9 to 12 s), most of them Python programs that
import half of Ray to find that there is nothing for them to do. Left here are the control store
and the raylet (75 MB, under 1 s). This is the only module that relies on private parts of Ray;
it must never be imported before `ray_environment.prepare` has run.

What is left out, and why a run can do without:
- autoscaler monitor: the operator makes and removes pods;
- dashboard (even with include_dashboard=False Ray starts and awaits it): reports and TensorBoard
  files take its place;
- log monitor: output goes to the pod's own log;
- dashboard agent, one on each node: metrics come from the run's report;
- runtime environment agent, one on each node: the pod's image and environment are the runtime
  environment. Ray Train, Ray Tune and Ray Data's shuffle do use it: `runtime_environments`
  brings it back. A task that asks for a runtime environment without it ends its raylet after 30 s.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import ray
from ray._private import services, worker
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._raylet import (
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    GRPC_STATUS_CODE_DEADLINE_EXCEEDED,
    GRPC_STATUS_CODE_UNAVAILABLE,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    RUNTIME_ENV_AGENT_PORT_NAME,
    GcsClient,
    persist_port,
)
from ray.core.generated.gcs_pb2 import GcsNodeInfo
from ray.core.generated.gcs_service_pb2 import GetAllNodeInfoRequest
from ray.exceptions import AuthenticationError, RpcError

from headrace_workers.ray_environment import NodeSettings, sessions, socket_path

Start = Callable[..., Any]

# A raylet refuses to start without agents and dies with them. `cat` is one that does nothing and
# ends when its standard input closes, which is the pipe by which a raylet tells agents of its end.
STAND_IN = "cat"

# The runtime environment agent does not always notice that its raylet was killed; the kernel does.
# 1 is PR_SET_PDEATHSIG, 9 is SIGKILL.
DIE_WITH_RAYLET = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.argv[1],sys.argv[1:])"

# What an agent that listens nowhere writes into its port file, which the raylet waits for.
NO_PORT = -1
# The raylet takes a runtime environment agent's port as given, so it needs a number: nothing
# listens on the first one.
REFUSING_PORT = 1


RPC_SECONDS = 5.0


def head_is_ready(address: str) -> bool:
    """Say whether the head at `address` can be joined; PermissionError if it refuses our token.

    Its control store listens about a second before the rest is there, and a node that comes in
    between sleeps 2 s at a time. So ask first, and only then let Ray join.
    """
    selector = GetAllNodeInfoRequest.NodeSelector(is_head_node=True)
    try:
        heads = GcsClient(address=address).get_all_node_info(
            timeout=RPC_SECONDS, node_selectors=[selector], state_filter=GcsNodeInfo.ALIVE
        )
    except AuthenticationError:
        raise PermissionError(
            f"the head at {address} refused HEADRACE_TOKEN; give all pods of a run the same one"
        ) from None
    except RpcError as error:
        if error.rpc_code in (GRPC_STATUS_CODE_UNAVAILABLE, GRPC_STATUS_CODE_DEADLINE_EXCEEDED):
            return False
        raise
    return bool(heads)


class LeanNode(Node):
    """Ray's node without the helpers named above.

    `start` runs the raylet's command, as `ray._private.services.start_ray_process` does.
    """

    def __init__(
        self,
        settings: NodeSettings,
        *,
        head: bool,
        start: Start = services.start_ray_process,
        **parameters: Any,
    ) -> None:
        self._runtime_environments = settings.runtime_environments
        self._start = start
        super().__init__(
            RayParams(
                node_ip_address=settings.pod_ip,
                node_name=settings.pod_name,
                object_store_memory=settings.object_store_bytes,
                temp_dir=str(sessions(settings.temp)),
                raylet_socket_name=socket_path(settings.temp, "raylet"),
                plasma_store_socket_name=socket_path(settings.temp, "store"),
                no_monitor=True,
                include_log_monitor=False,
                **parameters,
            ),
            head=head,
            # It would also replace the process's handler of SIGTERM.
            shutdown_at_exit=False,
            spawn_reaper=True,
        )

    def connect_driver(self) -> None:
        """Make this process the driver of the cluster whose head this node is."""
        # Without a node of its own, ray.init takes loopback for the host's outward address.
        worker._global_node = self  # noqa: SLF001
        ray.init(address=self.gcs_address, log_to_driver=False, configure_logging=False)

    def start_api_server(self, **_: Any) -> None:
        """Start no dashboard."""

    def start_raylet(self, *arguments: Any, **options: Any) -> None:
        """Start the raylet with stand-ins for its agents."""
        self._publish_absent_agents()
        original = services.start_ray_process
        services.start_ray_process = self._start_lean
        try:
            super().start_raylet(*arguments, **options)
        finally:
            services.start_ray_process = original

    def _publish_absent_agents(self) -> None:
        ports = {
            METRICS_AGENT_PORT_NAME: NO_PORT,
            METRICS_EXPORT_PORT_NAME: NO_PORT,
            DASHBOARD_AGENT_LISTEN_PORT_NAME: NO_PORT,
        }
        if not self._runtime_environments:
            ports[RUNTIME_ENV_AGENT_PORT_NAME] = REFUSING_PORT
        for name, port in ports.items():
            persist_port(self._session_dir, self._node_id, name, port)

    def _start_lean(self, command: list[str], *arguments: Any, **options: Any) -> Any:
        lean = lean_command(command, runtime_environments=self._runtime_environments)
        return self._start(lean, *arguments, **options)


def lean_command(command: list[str], *, runtime_environments: bool) -> list[str]:
    """Return the raylet's command with stand-ins for agents that the run can do without."""
    lean = []
    for argument in command:
        name, _, value = argument.partition("=")
        match name:
            case "--dashboard_agent_command":
                value = STAND_IN
            case "--runtime_env_agent_command" if not runtime_environments:
                value = STAND_IN
            case "--runtime_env_agent_command" if sys.platform == "linux":
                wrapper = subprocess.list2cmdline([sys.executable, "-c", DIE_WITH_RAYLET])
                value = f"{wrapper} {value}"
            case _:
                value = ""
        lean.append(f"{name}={value}" if value else argument)
    return lean
