# The real node of a cluster: its network, containerd, kubelet, kube-proxy and CoreDNS; read by up.
# shellcheck shell=bash disable=SC2154

# What a node sets on its machine, and what `down` therefore sets back.
remember_machine() {
  modprobe br_netfilter 2>/dev/null || true
  sysctl --ignore net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables vm.overcommit_memory vm.panic_on_oom \
    kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes > sysctl.before 2>/dev/null
  local folder
  for folder in /var/lib/kubelet /var/lib/cni /var/log/containers /run/containerd; do
    [ -e "$folder" ] || echo "$folder"
  done > folders.new
}

make_network() {
  sysctl -qw net.ipv4.ip_forward=1
  # Pods of one bridge reach each other's Services only if bridged packets pass the firewall's rules.
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || fail "the kernel has no br_netfilter: Services would not work"
  ip link add "$bridge" type bridge
  ip addr add "$gateway/16" dev "$bridge"
  ip link set "$bridge" up
  iptables -t nat -A POSTROUTING -s "$pods" ! -d "$pods" -m comment --comment headrace-cluster -j MASQUERADE
  iptables -I FORWARD -s "$pods" -m comment --comment headrace-cluster -j ACCEPT
  iptables -I FORWARD -d "$pods" -m comment --comment headrace-cluster -j ACCEPT
}

start_containerd() {
  mkdir -p "$images" cni
  # restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing, no sandbox could start otherwise.
  # netns_mounts_under_state_dir: `down` then finds every network namespace in the cluster's own folder.
  cat > containerd.toml <<TOML
version = 2
root = "$images"
state = "$state/containerd"
[grpc]
  address = "$state/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$state/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
TOML
  cat > cni/10-pods.conflist <<JSON
{"cniVersion": "0.4.0", "name": "headrace", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$state/cni/addresses", "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[{"subnet": "$pods", "gateway": "$gateway"}]]}}]}
JSON
  start containerd containerd --config "$state/containerd.toml"
  wait_for 30 containerd "answer from containerd" containers version
  # Images outlive clusters, containers do not: what a machine that lost power left is no longer anybody's.
  local container
  for container in $(containers containers list --quiet); do containers containers delete "$container"; done
  [ -n "$(containers images list --quiet name==localhost/pause:1)" ] || make_pause_image
}

# The image of every pod's sandbox: one static program that waits for a signal.
make_pause_image() {
  gcc -static -O1 -x c -o pause - <<'C'
#include <signal.h>
#include <unistd.h>
static void stop(int number) { (void)number; _exit(0); }
int main(void) { signal(SIGTERM, stop); signal(SIGINT, stop); for (;;) pause(); }
C
  python3 "$here/program_image.py" pause localhost/pause:1 pause.tar
  containers images import pause.tar > /dev/null
}

start_node() {
  start_containerd
  cat > kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $state/pki/kubelet.crt
tlsPrivateKeyFile: $state/pki/kubelet.key
containerRuntimeEndpoint: unix://$state/containerd.sock
podLogsDir: $state/pod-logs
volumePluginDir: $state/volume-plugins
healthzPort: 0
resolvConf: ""
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
maxPods: 250
# No registry has these images: one that is thrown away to save disk does not come back.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
YAML
  start kubelet "$bin/kubelet" --config "$state/kubelet.yaml" --kubeconfig "$state/kubelet.kubeconfig" --root-dir "$state/kubelet" \
    --hostname-override node-0 --node-ip "$gateway"
  # Zeros: the machine's own connection tracking stays as it is.
  start proxy "$bin/kube-proxy" --kubeconfig "$state/proxy.kubeconfig" --hostname-override node-0 --proxy-mode iptables \
    --cluster-cidr "$pods" --metrics-bind-address "127.0.0.1:$proxy_port" --healthz-bind-address '' \
    --iptables-localhost-nodeports=false --conntrack-max-per-core 0 \
    --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
  {
    printf 'cluster.local:53 in-addr.arpa:53 {\n  bind %s\n  kubernetes cluster.local in-addr.arpa {\n    kubeconfig %s\n    ttl 1\n  }\n}\n' \
      "$gateway" "$state/coredns.kubeconfig"
    ! grep -q '^nameserver' /etc/resolv.conf || printf '.:53 {\n  bind %s\n  forward . /etc/resolv.conf\n}\n' "$gateway"
  } > Corefile
  kubectl create -f "$here/node.yaml" > /dev/null
  start coredns "$bin/coredns" -conf "$state/Corefile"
  wait_for 60 kubelet "ready node node-0" kubectl wait node/node-0 --for condition=Ready --timeout 1s
  wait_for 30 coredns "answer from CoreDNS" bash -c ": < /dev/tcp/$gateway/53"
}

# Who is asked ends with the cluster, the rules that ask go with `down`; between the two no connection is made.
enforce_network_policies() {
  start network-policies "$bin/network-policies" --kubeconfig "$state/network-policies.kubeconfig" --pods "$pods" --queue "$policy_queue"
  wait_for 60 network-policies "queue $policy_queue of packets" grep -Eq "^ *$policy_queue " /proc/net/netfilter/nfnetlink_queue
  # Before the filter, so that what policies let pass meets all its rules; after the Services' addresses became pods'.
  each_policy_rule -A
  kubectl label node/node-0 headrace.dev/network-policies=enforced > /dev/null
}
