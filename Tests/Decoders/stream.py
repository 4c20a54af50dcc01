"""stream.py CAPTURE.pcap PORT BYTES AGAIN: tshark's word on a mirrored TCP stream: checksums, sequence, order, source ports.

The capture is of a monitor's underlay; the stream's data goes to the TCP port PORT, BYTES of it; the kernels of both ends
say that they have sent AGAIN segments a second time. Prints a JSON report; ends with 1 when it has faults.
"""
import collections
import json
import subprocess
import sys

FIELDS = [
    "frame.number", "frame.len", "udp.srcport", "tcp.stream", "tcp.dstport", "tcp.len", "ip.checksum.status",
    "tcp.checksum.status", "tcp.analysis.lost_segment", "tcp.analysis.out_of_order", "tcp.analysis.retransmission",
    "tcp.analysis.ack_lost_segment", "_ws.malformed", "ipv6.flow", "vlan.id"]
ADVICE = {
    "tcp.analysis.lost_segment": "a hole in front of it", "tcp.analysis.out_of_order": "out of order",
    "tcp.analysis.retransmission": "sent again", "tcp.analysis.ack_lost_segment": "acknowledges what was not seen",
    "_ws.malformed": "malformed"}


def main(path, port, wanted, again):
    words = ["tshark", "-r", path, "-T", "fields", "-E", "occurrence=a"]
    for name in ("ip.check_checksum", "tcp.check_checksum"):
        words += ["-o", f"{name}:TRUE"]
    for name in FIELDS:
        words += ["-e", name]
    # What carries TCP in UDP; the rest is ARP and the like.
    words += ["-Y", "udp && tcp"]
    faults = collections.Counter()
    data, frames, longest, tagged = 0, 0, 0, 0
    ports = collections.defaultdict(set)
    labels = set()
    for line in subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines():
        row = dict(zip(FIELDS, line.split("\t")))
        frames += 1
        longest = max(longest, int(row["frame.len"]))
        tagged += 1 if row["vlan.id"] else 0
        for name in ("ip.checksum.status", "tcp.checksum.status"):
            # 1 is good, 0 bad, 2 not checked, 3 not there.
            if any(state not in ("1",) for state in row[name].split(",") if state):
                faults[f"{name} is {row[name]}"] += 1
        if not row["tcp.checksum.status"]:
            faults["tshark has not looked at a TCP checksum"] += 1
        for name, text in ADVICE.items():
            if row[name]:
                faults[text] += 1
        ports[row["tcp.stream"]].add(row["udp.srcport"].split(",")[0])
        labels.update(row["ipv6.flow"].split(","))
        if row["tcp.dstport"] == str(port):
            data += int(row["tcp.len"])
    for stream, seen in ports.items():
        if len(seen) != 1:
            faults[f"stream {stream} came from source ports {sorted(seen)}"] += 1
    if data < wanted:
        faults[f"{data} bytes of {wanted}"] += 1
    # What was sent twice is seen twice; tshark calls it one or the other.
    repeated = [ADVICE[f"tcp.analysis.{name}"] for name in ("out_of_order", "retransmission")]
    if sum(faults[text] for text in repeated) <= again:
        for text in repeated:
            del faults[text]
    report = {"frames": frames, "bytes": data, "streams": len(ports), "longest": longest, "tagged": tagged,
              "labels": len(labels - {"", "0x00000000", "0x000000"}),
              "faults": [f"{text} ({count} times)" for text, count in faults.most_common(20)]}
    print(json.dumps(report))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:5])))
