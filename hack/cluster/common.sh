# Where a cluster lies and how it is told from others; read by up, down, env, hack/images and hack/argocd.
# HEADRACE_CACHE: programs and images that outlive clusters (default ~/.cache/headrace)
# HEADRACE_CLUSTER_STATE: the folder of one cluster (default $HEADRACE_CACHE/cluster)
# HEADRACE_CLUSTER_PORT: the API server's port; the next six are the other components' (default 6443)
# shellcheck shell=bash
cache=${HEADRACE_CACHE:-$HOME/.cache/headrace}
bin=$cache/bin
state=$(realpath -m "${HEADRACE_CLUSTER_STATE:-$cache/cluster}")
port=${HEADRACE_CLUSTER_PORT:-6443}

# One real node at most: its bridge, its firewall rules and its images belong to the machine.
bridge=headrace0
gateway=10.88.0.1
pods=10.88.0.0/16
fake_pods=10.128.0.0/16
images=$cache/containerd
policy_queue=4180

. "$(dirname "${BASH_SOURCE[0]}")/../processes.sh"

# The rules by which a real node's kernel asks about new connections, of one pod to another, to the machine or beyond.
each_policy_rule() {  # -A or -D
  local ask=(-m conntrack --ctstate NEW -m comment --comment headrace-cluster -j NFQUEUE --queue-num "$policy_queue")
  iptables -w -t mangle "$1" FORWARD -s "$pods" "${ask[@]}"
  iptables -w -t mangle "$1" FORWARD -d "$pods" "${ask[@]}"
  iptables -w -t mangle "$1" INPUT -i "$bridge" "${ask[@]}"
}

containers() { ctr --address "$state/containerd.sock" --namespace k8s.io "$@"; }
