"""traffic.py make A.pcap B.pcap LONGEST: mixed traffic of two hosts a and b, question and answer; longest frame in bytes.
traffic.py send INTERFACE FILE.pcap RATE: puts a file's frames on an interface, at RATE frames a second.
traffic.py supers INTERFACE SIDE [tcp]: sends super-frames of 0 (a) or 1 (b): TSO and USO, IPv4 and IPv6, in VLAN and QinQ,
with the checksum left to the device, as a virtual machine does; with `tcp`, TSO alone.

Addresses belong to no interface of the lab (198.18.0.0/15, 2001:db8::/32), so nobody answers by himself. Every frame of
a file differs from every other. Used by Tests/Promises and by whoever wants mixed traffic for `replay`.
"""
import random
import socket
import struct
import sys
import time

from scapy.contrib.geneve import GENEVE
from scapy.contrib.lldp import LLDPDU, LLDPDUChassisID, LLDPDUEndOfLLDPDU, LLDPDUPortID, LLDPDUTimeToLive
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

MAC = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"]
V4 = ["198.18.0.1", "198.19.0.2"]
V6 = ["2001:db8:a::1", "2001:db8:b::2"]


def ether(side, **more):
    return Ether(src=MAC[side], dst=MAC[1 - side], **more)


def ip(side, **more):
    return IP(src=V4[side], dst=V4[1 - side], **more)


def ipv6(side, **more):
    return IPv6(src=V6[side], dst=V6[1 - side], **more)


def ports(side, first, second=9):
    """Source and destination port as seen from one side of a conversation."""
    return {"sport": second if side else first, "dport": first if side else second}


def filled(packet, length, draw):
    """The packet with random bytes behind it, up to `length` bytes in all."""
    missing = length - len(packet)
    return packet / Raw(draw.randbytes(missing)) if missing > 0 else packet


def sizes(side, longest, draw):
    """Plain frames from 14 bytes on, with each number of bytes that sits on an edge somewhere."""
    edges = [14, 15, 16, 17, 18, 19, 20, 33, 34, 59, 60, 61, 63, 64, 65]
    edges += [127, 128, 1499, 1500, 1501, 1513, 1514, 1515, 1518, 2047, 2048, 4025, 4026, 4027, 4096, 8121, 8122, 9014]
    for length in (n for n in edges if n <= longest):
        # Short frames have no room for a number: the source address tells them apart.
        source = f"06:{side:02x}:00:00:{length >> 8:02x}:{length & 255:02x}"
        yield Ether(src=source, dst=MAC[1 - side], type=0x88B5) / Raw(draw.randbytes(length - 14))


def conversations(side, draw):
    """Each kind of header in both directions of one conversation, so that the flow hash can be compared."""
    for n in range(2):
        first = 20000 + n
        for outer in (ether(side), ether(side) / Dot1Q(vlan=100, prio=5),
                      ether(side, type=0x88A8) / Dot1AD(vlan=7) / Dot1Q(vlan=100 + n)):
            yield filled(outer / ip(side, id=n) / UDP(**ports(side, first)), 120 + n, draw)
            yield filled(outer / ip(side, id=n) / TCP(seq=n, flags="PA", **ports(side, first)), 131 + n, draw)
            yield filled(outer / ipv6(side, fl=n * 7 + side) / UDP(**ports(side, first)), 140 + n, draw)
            yield filled(outer / ipv6(side, fl=n * 9 + side) / TCP(seq=n, **ports(side, first)), 151 + n, draw)


def oddities(side, draw):
    """What a classifier may trip over, every frame in itself right."""
    yield ether(side) / ARP(op=1 + side, hwsrc=MAC[side], psrc=V4[side], pdst=V4[1 - side])
    yield ether(side) / Dot1Q(vlan=100) / ARP(op=1 + side, hwsrc=MAC[side], psrc=V4[side], pdst=V4[1 - side])
    if side == 0:
        # Link-local: a bridge does not forward it, so it passes the tapped port in one direction only.
        yield Ether(src=MAC[0], dst="01:80:c2:00:00:0e") / LLDPDU() / LLDPDUChassisID(
            subtype=4, id=MAC[0]) / LLDPDUPortID(subtype=7, id="port-a") / LLDPDUTimeToLive(
                ttl=120) / LLDPDUEndOfLLDPDU()
    yield filled(ether(side) / ip(side) / ICMP(type=0 if side else 8, id=7, seq=1), 98, draw)
    yield filled(ether(side) / ipv6(side) / ICMPv6EchoRequest(id=7, seq=side), 98, draw)
    yield ether(side) / ip(side) / SCTP(tag=side + 1, **ports(side, 5000, 5001)) / SCTPChunkData(
        tsn=1, beginning=1, ending=1, data=draw.randbytes(40))
    yield from fragment(ether(side) / ip(side, id=77) / UDP(**ports(side, 30000)) / Raw(draw.randbytes(1800)), 800)
    udp = bytes(ipv6(side) / UDP(**ports(side, 30001)) / Raw(draw.randbytes(1000)))[40:]
    for offset, more in ((0, 1), (512, 0)):
        piece = udp[offset:offset + 512] if more else udp[offset:]
        yield ether(side) / ipv6(side) / IPv6ExtHdrFragment(
            nh=17, offset=offset // 8, m=more, id=99 + side) / Raw(piece)
    options = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
    yield filled(ether(side) / ipv6(side) / options / UDP(**ports(side, 30002)), 130, draw)
    yield filled(
        ether(side) / ipv6(side) / options / IPv6ExtHdrRouting(type=0, segleft=0, addresses=[V6[side]])
        / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / TCP(flags="S", **ports(side, 30003)), 150, draw)
    yield filled(
        ether(side, type=0x8847) / MPLS(label=16 + side, s=0, ttl=64) / MPLS(label=17, s=1, ttl=64) / ip(side)
        / UDP(**ports(side, 30004)), 140, draw)
    inner = bytes(filled(ether(side) / ip(side) / UDP(**ports(side, 30005)), 90, draw))
    yield ether(side) / ip(side) / UDP(sport=40000, dport=4789, chksum=0) / VXLAN(vni=5001) / Raw(inner)
    yield ether(side) / ip(side) / UDP(sport=40000, dport=6081, chksum=0) / GENEVE(
        vni=5001, proto=0x6558, optionlen=0) / Raw(inner)
    yield ether(side) / ip(side) / GRE(key_present=1, key=5001, proto=0x6558) / Raw(inner)
    vxlan = bytes(ether(side) / ip(side) / UDP(sport=40001, dport=4789, chksum=0) / VXLAN(vni=5002) / Raw(inner))
    yield ether(side) / ip(side) / UDP(sport=40002, dport=4789, chksum=0) / VXLAN(vni=5003) / Raw(vxlan)
    yield filled(ether(side) / IP(src=V4[side], dst=V4[1 - side], options=[b"\x01"] * 4) / UDP(**ports(side, 30006)),
                 100, draw)
    if side == 0:
        # Padding behind what the IP header tells of is part of the frame, until br_netfilter trims it in the bridge
        # (PromiseIdentical/padding).
        yield Raw(bytes(ether(side) / ip(side) / UDP(**ports(side, 30007))) + bytes(18))
    # A wrong checksum stays wrong.
    yield filled(ether(side) / ip(side) / UDP(chksum=0x1234, **ports(side, 30008)), 90, draw)
    yield filled(ether(side) / ip(side) / TCP(chksum=0x1234, **ports(side, 30008)), 90, draw)


def make(paths, longest):
    for side, path in enumerate(paths):
        draw = random.Random(4711 + side)
        frames = [bytes(frame) for kind in (sizes(side, longest, draw), conversations(side, draw), oddities(side, draw))
                  for frame in kind]
        assert len(set(frames)) == len(frames), "two frames are the same"
        write(path, frames)


def write(path, frames):
    """Classic pcap with nanoseconds, Ethernet."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for n, frame in enumerate(frames):
            file.write(struct.pack("<IIII", 1_700_000_000, n, len(frame), len(frame)) + frame)


def frames_of(path):
    """The frames of such a file."""
    with open(path, "rb") as file:
        data = file.read()
    at, frames = 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


def send(interface, path, rate):
    frames = frames_of(path)
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    begin = time.monotonic()
    for n, frame in enumerate(frames):
        while time.monotonic() < begin + n / rate:
            time.sleep(0.0005)
        out.send(frame)
    print(len(frames))


def text(first, length):
    """Numbers in a row: no two alike, and nothing that a dissector takes for a protocol of its own."""
    return b"".join(b"%010d " % (first + n) for n in range(length // 11 + 1))[:length]


def supers(side):
    """Frames of several segments, each with what virtio-net says of it: type, segment size, where the checksum is."""
    draw = random.Random(815 + side)
    tags = [ether(side), ether(side) / Dot1Q(vlan=100, prio=5), ether(side, type=0x88A8) / Dot1AD(vlan=7) / Dot1Q(vlan=9)]
    for outer in tags:
        for network in (ip(side, id=4000), ip(side, id=4100, flags="DF"), ipv6(side, fl=5)):
            for length in (1401, 2800, 9001, 60000 if outer is tags[1] and network.version == 4 else 20000):
                for transport in (TCP(seq=2**32 - 3000, flags="PA", **ports(side, 31000)),
                                  TCP(seq=length, flags="FPEC", **ports(side, 31001)), UDP(**ports(side, 31002))):
                    size = 1400 if isinstance(network, IP) else 1380
                    yield outer / network / transport, text(draw.randrange(10**9), length), size


def send_supers(interface, side, only_tcp):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
    out.bind((interface, 0))
    count = 0
    for packet, payload, size in supers(side):
        isTCP, version = packet.haslayer(TCP), 4 if packet.haslayer(IP) else 6
        if only_tcp and not isTCP:
            continue
        frame = bytearray(bytes(packet / Raw(payload)))
        start = len(packet) - (20 if isTCP else 8)
        field = start + (16 if isTCP else 6)
        pseudo = packet[IP if version == 4 else IPv6]
        addresses = socket.inet_pton(socket.AF_INET if version == 4 else socket.AF_INET6, pseudo.src) + socket.inet_pton(
            socket.AF_INET if version == 4 else socket.AF_INET6, pseudo.dst)
        total = addresses + struct.pack("!II", len(frame) - start, 6 if isTCP else 17)
        partial = sum(struct.unpack(f"!{len(total) // 2}H", total))
        while partial > 0xFFFF:
            partial = (partial & 0xFFFF) + (partial >> 16)
        frame[field:field + 2] = struct.pack("!H", partial)
        kind = (1 if version == 4 else 4) if isTCP else 5
        # A TCP that asks for congestion marks says so to the device, too.
        if isTCP and "C" in packet[TCP].flags:
            kind |= 0x80
        header = struct.pack("<BBHHHH", 1, kind, len(packet), size, start, field - start)
        out.send(header + frame)
        count += 1
        time.sleep(0.002)
    print(count)


def main(words):
    if words[:1] == ["make"] and len(words) == 4:
        make(words[1:3], int(words[3]))
    elif words[:1] == ["send"] and len(words) == 4:
        send(words[1], words[2], float(words[3]))
    elif words[:1] == ["supers"] and words[3:] in ([], ["tcp"]):
        send_supers(words[1], int(words[2]), bool(words[3:]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
