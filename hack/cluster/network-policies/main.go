// Command network-policies has a node enforce NetworkPolicies: the kernel asks it about the first packet of every
// connection of a pod (NFQUEUE), and Cyclonus, which network plugins are tested with, says what the policies make of it.
// A packet of a pod whose address the API server does not tell yet is dropped; whoever sent it sends it again.
//
// kube-network-policies asks in the same way, but from nftables, whose queue many kernels are built without
// (CONFIG_NFT_QUEUE); the target of iptables, which is used here, they have.
package main

import (
	"cmp"
	"context"
	"flag"
	"log"
	"net/netip"
	"time"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	byAddress   = "address"
	syncTimeout = 30 * time.Second
)

// cluster is what the API server says of pods, namespaces and policies, kept fresh by watches.
type cluster struct {
	podNetwork netip.Prefix
	pods       cache.Indexer
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how the API server is reached")
	pods := flag.String("pods", "", "the network of the pods' addresses")
	number := flag.Uint("queue", 0, "the kernel's queue that the packets come from")
	flag.Parse()
	podNetwork, err := netip.ParsePrefix(*pods)
	exitOn(err, "--pods names no network")
	seen, err := watch(*kubeconfig, podNetwork)
	exitOn(err, "the API server cannot be watched")
	packets, err := openQueue(uint16(*number))
	exitOn(err, "the kernel gives no queue")
	exitOn(packets.answer(seen.allows), "the kernel's queue has ended")
}

func exitOn(err error, what string) {
	if err != nil {
		log.Fatalf("network-policies: %s: %v", what, err)
	}
}

func watch(kubeconfig string, podNetwork netip.Prefix) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	if err := pods.AddIndexers(cache.Indexers{byAddress: addresses}); err != nil {
		return nil, err
	}
	seen := &cluster{
		podNetwork: podNetwork,
		pods:       pods.GetIndexer(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
	}
	factory.Start(context.Background().Done())
	deadline, cancel := context.WithTimeout(context.Background(), syncTimeout)
	defer cancel()
	factory.WaitForCacheSync(deadline.Done())
	return seen, deadline.Err()
}

// addresses are those of a pod that holds them still: one that has ended has given its own back.
func addresses(object any) ([]string, error) {
	pod := object.(*corev1.Pod)
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil, nil
	}
	found := make([]string, 0, len(pod.Status.PodIPs))
	for _, each := range pod.Status.PodIPs {
		found = append(found, each.IP)
	}
	return found, nil
}

// allows says whether the policies let a connection with this first packet be.
func (c *cluster) allows(first packet) bool {
	source, _, known := c.peer(first.source, false)
	destination, receiver, found := c.peer(first.destination, first.toNode)
	policies, err := c.policies.List(labels.Everything())
	if !known || !found || err != nil {
		log.Printf("dropped %v: not known yet, source %t, destination %t, policies %v", first, known, found, err)
		return false
	}
	allowed := matcher.BuildNetworkPolicies(false, policies).IsTrafficAllowed(&matcher.Traffic{
		Source: source, Destination: destination,
		ResolvedPort: int(first.port), ResolvedPortName: portName(receiver, first), Protocol: first.protocol,
	}).IsAllowed()
	if !allowed {
		log.Printf("dropped %v: a policy says so", first)
	}
	return allowed
}

// peer is who has an address: a pod, or, at the node itself and outside the pods' network, somebody else.
func (c *cluster) peer(address netip.Addr, isNode bool) (*matcher.TrafficPeer, *corev1.Pod, bool) {
	peer := &matcher.TrafficPeer{IP: address.String()}
	if isNode || !c.podNetwork.Contains(address) {
		return peer, nil, true
	}
	found, err := c.pods.ByIndex(byAddress, address.String())
	if err != nil || len(found) == 0 {
		return nil, nil, false
	}
	pod := found[0].(*corev1.Pod)
	namespace, err := c.namespaces.Get(pod.Namespace)
	if err != nil {
		return nil, nil, false
	}
	peer.Internal = &matcher.InternalPeer{
		PodLabels: pod.Labels, Namespace: pod.Namespace, NamespaceLabels: namespace.Labels,
	}
	return peer, pod, true
}

// portName is what the receiving pod calls the port; policies may name it so.
func portName(receiver *corev1.Pod, first packet) string {
	if receiver == nil {
		return ""
	}
	for _, container := range receiver.Spec.Containers {
		for _, port := range container.Ports {
			if port.ContainerPort == int32(first.port) && cmp.Or(port.Protocol, corev1.ProtocolTCP) == first.protocol {
				return port.Name
			}
		}
	}
	return ""
}
