"""check.py CASE.json: judges what arrived at a monitor with decoders that share no code with the dataplane.

The case names the program that ran, the originals by direction (OUT: what the port's owner sent), what arrived at the
monitor's underlay, what the kernel's own tunnel devices gave out, and when the originals were sent (ns since 1970).
tshark and scapy each take every copy out of its tunnel; the inner frames must be the originals byte for byte and in
order, and the outer headers what the program and the RFCs say. Prints a JSON report; ends with 1 when it has faults.
"""
import collections
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.layers.inet6 import in6_chksum
from scapy.layers.inet import in4_chksum
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.layers.vxlan import VXLAN
from scapy.packet import bind_layers, split_layers
from scapy.utils import checksum

from outer import judge
from traffic import frames_of

# What is in a tunnel stays bytes: they are compared, and a dissection of each would take most of the time.
for lower, fields in ((VXLAN, {}), (GENEVE, {"proto": 0x6558}), (GRE, {"proto": 0x6558}), (ERSPAN_II, {}),
                      (ERSPAN_III, {"o": 0})):
    split_layers(lower, Ether, **fields)

def flow(frame):
    """What both directions of a conversation have in common."""
    packet = Ether(frame)
    layer = packet.payload
    kind = packet.type
    while isinstance(layer, (Dot1Q, Dot1AD)):
        kind, layer = layer.type, layer.payload
    if not isinstance(layer, (IP, IPv6)):
        return ("mac", *sorted((packet.src, packet.dst)), kind)
    addresses = sorted((layer.src, layer.dst))
    if isinstance(layer, IP):
        isFragment, upper, number = layer.frag or layer.flags.MF, layer.payload, layer.proto
    else:
        isFragment, upper, number = False, layer.payload, layer.nh
        while isinstance(upper, (IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, IPv6ExtHdrFragment)):
            isFragment = isFragment or isinstance(upper, IPv6ExtHdrFragment)
            number, upper = upper.nh, upper.payload
    if isFragment or not isinstance(upper, (UDP, TCP, SCTP)):
        return ("ip", *addresses, None if isFragment else number)
    return ("ports", number, *sorted(((layer.src, upper.sport), (layer.dst, upper.dport))))


def by_scapy(frame):
    """One copy, taken apart: a dictionary of what the outer headers say, and the inner frame; None for other traffic."""
    packet = Ether(frame)
    ip = packet.payload.payload if isinstance(packet.payload, Dot1Q) else packet.payload
    if not isinstance(ip, (IP, IPv6)):
        return None
    found = {
        "vlan": packet[Dot1Q].vlan if isinstance(packet.payload, Dot1Q) else None, "version": ip.version,
        "source": ip.src, "remote": ip.dst}
    length = len(frame) - (18 if found["vlan"] is not None else 14)
    if ip.version == 4:
        found.update(dscp=ip.tos >> 2, ttl=ip.ttl, df=bool(ip.flags.DF), whole=ip.len == length and ip.ihl == 5)
        found["checksum"] = checksum(bytes(ip.original[:20])) == 0
    else:
        found.update(dscp=ip.tc >> 2, ttl=ip.hlim, df=True, whole=ip.plen == length - 40, checksum=True)
        found["label"] = ip.fl
    upper = ip.payload
    if isinstance(upper, UDP):
        found.update(sport=upper.sport, dport=upper.dport)
        found["whole"] = found["whole"] and upper.len == len(upper.original)
        found["udp_checksum"] = upper.chksum != 0
        if upper.chksum:
            sum_ = in4_chksum(17, ip, upper.original) if ip.version == 4 else in6_chksum(17, ip, upper.original)
            found["checksum"] = found["checksum"] and sum_ in (0, 0xFFFF)
    elif not isinstance(upper, GRE):
        return None
    if upper.haslayer(VXLAN) and isinstance(upper.payload, VXLAN):
        header = upper.payload
        found.update(encapsulation="vxlan", tunnel_id=header.vni)
        found["reserved"] = int(header.flags) != 8 or header.reserved1 != 0 or header.reserved2 != 0
    elif isinstance(upper, UDP) and isinstance(upper.payload, GENEVE):
        header = upper.payload
        found.update(encapsulation="geneve", tunnel_id=header.vni)
        found["reserved"] = any((header.version, header.oam, header.critical, header.reserved, header.reserved2,
                                 header.proto != 0x6558))
        found["options"] = {option.type: int.from_bytes(option.data, "big") for option in header.options
                            if option.classid == 0xFFF0 and option.reserved == 0}
    elif isinstance(upper, GRE):
        found["sequence"] = upper.seqence_number if upper.seqnum_present else None
        found["reserved"] = any((upper.chksum_present, upper.routing_present, upper.strict_route_source,
                                 upper.recursion_control, upper.flags, upper.version))
        header = upper
        if upper.proto == 0x6558:
            found.update(encapsulation="gre", tunnel_id=upper.key if upper.key_present else None)
        elif isinstance(upper.payload, ERSPAN_II):
            header = upper.payload
            found.update(encapsulation="erspan2", tunnel_id=header.session_id, cut=header.t, tag=header.vlan,
                         cos=header.cos)
            found["reserved"] = found["reserved"] or header.ver != 1 or header.reserved or header.index
            found["en"] = header.en
        elif isinstance(upper.payload, ERSPAN_III):
            header = upper.payload
            found.update(encapsulation="erspan3", tunnel_id=header.session_id, cut=header.t, tag=header.vlan,
                         cos=header.cos, timestamp=header.timestamp, direction="OUT" if header.d else "IN")
            found["reserved"] = found["reserved"] or header.ver != 2 or header.bso or header.sgt_other or header.hw \
                or header.ft or header.gra or header.o or not header.p
        else:
            return None
    else:
        return None
    found["inner"] = bytes(header.payload)
    return found


class TShark:
    """tshark in a process of its own, which works while scapy does."""

    def __init__(self, path, ports):
        words = ["tshark", "-r", path, "-T", "pdml"]
        for name in ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams"):
            words += ["-o", f"{name}:FALSE"]
        for name in ("ip.check_checksum", "udp.check_checksum", "tcp.check_checksum"):
            words += ["-o", f"{name}:TRUE"]
        for port, kind in ports:
            words += ["-d", f"udp.port=={port},{kind}"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def packets(self, frames):
        """For each frame its encapsulation's fields and the inner frame, or None."""
        found = []
        for _, element in ElementTree.iterparse(self.process.stdout):
            if element.tag == "packet":
                found.append(self.packet(element, frames[len(found)]))
                element.clear()
        if self.process.wait() != 0 or len(found) != len(frames):
            raise SystemExit(f"tshark read {len(found)} of {len(frames)} frames")
        return found

    @staticmethod
    def packet(element, frame):
        names = [proto.get("name") for proto in element.findall("proto")]
        tunnel = next((n for n, name in enumerate(names) if name in ("vxlan", "geneve", "gre")), None)
        if tunnel is None:
            return None
        protos = element.findall("proto")
        inner = next((n for n in range(tunnel + 1, len(names)) if names[n] == "eth"), None)
        if inner is None:
            return {"inner": None}
        fields = {}
        for proto in protos[:inner]:
            for field in proto.iter("field"):
                fields.setdefault(field.get("name"), field.get("show"))
        found = {"inner": frame[int(protos[inner].get("pos")):], "fields": fields}
        # What tshark finds wrong outside the inner frame, and whether it gave up anywhere.
        found["wrong"] = [name for name in names if name.startswith("_ws.malformed")]
        for proto in protos[:inner]:
            found["wrong"] += [
                field.get("show") for field in proto.iter("field")
                if field.get("name") == "_ws.expert.severity" and int(field.get("show"), 0) >= 0x600000]
        return found


def main(path):
    with open(path, encoding="utf-8") as file:
        case = json.load(file)
    with open(case["program"], encoding="utf-8") as file:
        program = json.load(file)
    destinations = {d["id"]: d for d in program["destinations"] if "remote" in d}
    ports = {(d["udp_port"], kind) for d in destinations.values() if "udp_port" in d
             for kind in [d.get("encapsulation", "vxlan")]}
    for port, kind in ports:
        bind_layers(UDP, VXLAN if kind == "vxlan" else GENEVE, dport=port)
    frames = frames_of(case["capture"])
    tshark = TShark(case["capture"], ports)
    originals = {direction: frames_of(path) for direction, path in case["originals"].items()}
    copies = [by_scapy(frame) for frame in frames]
    faults = collections.Counter()
    report = judge(case, program, destinations, originals, copies, tshark.packets(frames), flow, faults)
    for device in case.get("kernel", []):
        wanted = collections.Counter(f for d in device["directions"] for f in originals[d])
        got = collections.Counter(frames_of(device["capture"]))
        if wanted != got:
            missing, more = wanted - got, got - wanted
            faults[f"{device['name']}: {missing.total()} frames missing, {more.total()} that nobody sent, "
                   f"first {next(iter(missing), b'').hex()[:80]} and {next(iter(more), b'').hex()[:80]}"] += 1
    report["faults"] = [f"{text} ({count} times)" for text, count in faults.most_common(30)]
    print(json.dumps(report))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
