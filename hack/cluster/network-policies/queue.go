package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// The kernel's numbers for its queues (linux/netfilter/nfnetlink_queue.h) and its verdicts (linux/netfilter.h).
const (
	subsystem = 3 << 8

	messagePacket  = 0
	messageVerdict = 1
	messageConfig  = 2

	configCommand = 1
	configParams  = 2
	commandBind   = 1
	copyPacket    = 2

	attributeHeader  = 1
	attributeVerdict = 2
	attributePayload = 10

	hookLocalIn = 1

	verdictDrop   = 0
	verdictAccept = 1
)

// headers is how much of a packet is looked at: an IPv4 header with all its options, and the ports.
const headers = 64

// packet is the first one of a connection.
type packet struct {
	source, destination netip.Addr
	protocol            corev1.Protocol
	port                uint16
	toNode              bool
}

func (p packet) String() string {
	return fmt.Sprintf("%s to %s port %d %s", p.source, p.destination, p.port, p.protocol)
}

var protocols = map[byte]corev1.Protocol{
	unix.IPPROTO_TCP: corev1.ProtocolTCP, unix.IPPROTO_UDP: corev1.ProtocolUDP, unix.IPPROTO_SCTP: corev1.ProtocolSCTP,
}

// parse reads an IPv4 packet; of a protocol without ports it has neither port nor protocol.
func parse(data []byte, hook byte) (packet, error) {
	if len(data) < 20 || data[0]>>4 != 4 {
		return packet{}, errors.New("no IPv4 packet")
	}
	read := packet{
		source:      netip.AddrFrom4([4]byte(data[12:16])),
		destination: netip.AddrFrom4([4]byte(data[16:20])),
		toNode:      hook == hookLocalIn,
	}
	ports := int(data[0]&0x0f) * 4
	protocol, found := protocols[data[9]]
	if found && len(data) >= ports+4 {
		read.protocol, read.port = protocol, binary.BigEndian.Uint16(data[ports+2:])
	}
	return read, nil
}

// queue is one of the kernel's queues of packets that wait for a verdict.
type queue struct {
	number uint16
	socket *nl.NetlinkSocket
}

func openQueue(number uint16) (*queue, error) {
	socket, err := nl.Subscribe(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	opened := &queue{number, socket}
	if err := opened.configure(configCommand, []byte{commandBind, 0, 0, 0}); err != nil {
		return nil, fmt.Errorf("queue %d cannot be bound: %w", number, err)
	}
	if err := opened.configure(configParams, append(nl.BEUint32Attr(headers), copyPacket)); err != nil {
		return nil, fmt.Errorf("queue %d does not copy packets: %w", number, err)
	}
	return opened, nil
}

// configure says one thing about the queue and waits for the kernel's answer, which is at once.
func (q *queue) configure(attribute int, value []byte) error {
	request := nl.NewNetlinkRequest(subsystem|messageConfig, unix.NLM_F_ACK)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, ResId: nl.Swap16(q.number)})
	request.AddData(nl.NewRtAttr(attribute, value))
	if err := q.socket.Send(request); err != nil {
		return err
	}
	messages, _, err := q.socket.Receive()
	if err != nil {
		return err
	}
	for _, message := range messages {
		if code := int32(nl.NativeEndian().Uint32(message.Data)); message.Header.Type == unix.NLMSG_ERROR && code != 0 {
			return syscall.Errno(-code)
		}
	}
	return nil
}

// answer gives each packet the verdict of `allows`, until the socket fails.
func (q *queue) answer(allows func(packet) bool) error {
	for {
		messages, _, err := q.socket.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			continue // more came at once than the socket holds; the kernel has dropped the rest
		}
		if err != nil {
			return err
		}
		for _, message := range messages {
			if message.Header.Type != subsystem|messagePacket {
				continue
			}
			if err := q.judge(message, allows); err != nil {
				return err
			}
		}
	}
}

func (q *queue) judge(message syscall.NetlinkMessage, allows func(packet) bool) error {
	attributes, err := nl.ParseRouteAttrAsMap(message.Data[nl.SizeofNfgenmsg:])
	if err != nil {
		return err
	}
	header := attributes[attributeHeader].Value
	verdict := uint32(verdictDrop)
	if read, err := parse(attributes[attributePayload].Value, header[6]); err == nil && allows(read) {
		verdict = verdictAccept
	}
	request := nl.NewNetlinkRequest(subsystem|messageVerdict, 0)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, ResId: nl.Swap16(q.number)})
	request.AddData(nl.NewRtAttr(attributeVerdict, append(nl.BEUint32Attr(verdict), header[:4]...)))
	return q.socket.Send(request)
}
