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

is_taken() { (: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A component in a session of its own, so that no Ctrl-C or closed terminal of its starter ends it.
start() {  # name command…
  local name=$1
  shift
  setsid "$@" < /dev/null > "$name.log" 2>&1 &
  echo $! > "$name.pid"
}

wait_for() {  # seconds component what command…
  local deadline=$((SECONDS + $1)) component=$2 what=$3
  shift 3
  until "$@" > /dev/null 2>&1; do
    sleep 0.2  # and not after the next line: a process that was just made has its maker's command line
    lives "$component" || fail "$component ended while waited for $what: $(tail -n 3 "$component.log")"
    [ $SECONDS -lt "$deadline" ] || fail "no $what in time; the last of $component: $(tail -n 3 "$component.log")"
  done
}

stop() {  # name
  lives "$1" || return 0
  local pid
  pid=$(cat "$1.pid")
  kill "$pid" 2>/dev/null
  for _ in $(seq 100); do
    lives "$1" || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null
}

# The rules by which a real node's kernel asks about new connections, of one pod to another, to the machine or beyond.
each_policy_rule() {  # -A or -D
  local ask=(-m conntrack --ctstate NEW -m comment --comment headrace-cluster -j NFQUEUE --queue-num "$policy_queue")
  iptables -w -t mangle "$1" FORWARD -s "$pods" "${ask[@]}"
  iptables -w -t mangle "$1" FORWARD -d "$pods" "${ask[@]}"
  iptables -w -t mangle "$1" INPUT -i "$bridge" "${ask[@]}"
}

containers() { ctr --address "$state/containerd.sock" --namespace k8s.io "$@"; }
