"""same.py ONE.pcap OTHER.pcap: whether two captures hold the same frames in the same order.

Both are files of Sources/Lab/PcapFile.swift. Prints a JSON report; ends with 1 when it has faults.
"""
import json
import sys

from traffic import frames_of


def main(one, other):
    left, right = frames_of(one), frames_of(other)
    faults = [] if len(left) == len(right) else [f"{len(left)} frames and {len(right)}"]
    for number, (a, b) in enumerate(zip(left, right), 1):
        if a != b:
            at = next((n for n, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            faults.append(f"frame {number}: {len(a)} and {len(b)} bytes, from byte {at}: "
                          f"{a[at:at + 16].hex()}, {b[at:at + 16].hex()}")
    print(json.dumps({"frames": len(left), "faults": faults[:10]}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
