# Where a cluster lies and how it is told from others; read by up, down, env and hack/images.
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
images=$cache/containerd

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# Debian's packages for programs that are missing: PROGRAM=PACKAGE…
install_missing() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" > /dev/null || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || fail "these Debian packages or what stands for them are missing, and there is no apt-get: ${missing[*]}"
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: ${missing[*]}; install them, or run this as root"
  echo "installing Debian packages: ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    > /tmp/headrace-apt.log 2>&1 || fail "apt-get failed: $(tail -3 /tmp/headrace-apt.log)"
}

# Whether the process of a pid file lives and belongs to this cluster: its command line names the cluster's folder.
lives() {  # name
  local pid
  pid=$(cat "$state/$1.pid" 2>/dev/null) && grep -qzF -- "$state" "/proc/$pid/cmdline" 2>/dev/null
}

containers() { ctr --address "$state/containerd.sock" --namespace k8s.io "$@"; }
