"""How the cost of a frame grows with what a dataplane has to do: taps and ports, taps of one port, filters, frames that match
nothing, programs that are swapped while frames pass. Every one is a peer for the sections `scale` and `swap`, the first of
which, one tap on one port, is what the others are held against. Before it: peers.py. After it: rounds.py.
"""
import json
import socket
import threading
import time

from lab import VNI, LabError
from peers import Heliostat

# As long as a filter of eight terms is, and true for the generator's frames only at its last one.
TERMS = ["tcp port 22", "host 192.0.2.77", "icmp", "udp port 53", "net 203.0.113.0/24", "tcp port 443", "ip6"]


class Scale(Heliostat):
    """`taps` taps over `ports` ports, all toward one destination, so that every frame of p-src is copied once."""

    taps, ports, filter, direction, patience = 1, 1, None, "OUT", 30.0
    def extra_ports(self):
        return [f"s{number}" for number in range(1, self.ports)]

    def program(self):
        program = super().program()
        interfaces = ["p-src"] + self.extra_ports()
        program["ports"] = [{"id": name, "interface": name} for name in interfaces]
        tap = {"direction": self.direction, "destinations": ["mon"]}
        if self.filter:
            tap["filter"] = self.filter
        program["taps"] = [
            dict(tap, id=f"tap{number}", port=interfaces[number % len(interfaces)]) for number in range(self.taps)]
        return program

    def start(self):
        there = self.lab.do("host", "ip", "-br", "link")
        missing = [name for name in self.extra_ports() if f"\n{name}@" not in there]
        # Both ends of a pair are ports.
        batch = "".join(f"link add {one} type veth peer name {other}\n" for one, other in zip(missing[::2], missing[1::2]))
        if len(missing) % 2:
            batch += f"link add {missing[-1]} type veth peer name {missing[-1]}-end\n"
        batch += "".join(f"link set {name} up\n" for name in missing)
        file = self.lab.path / "links"
        file.write_text(batch)
        if missing:
            self.lab.do("host", "ip", "-batch", file)
        super().start()


def variant(label, words, **fields):
    return type("Scale_" + "".join(filter(str.isalnum, label)), (Scale,), {"name": label, "what": words, **fields})


ONE = variant("1 tap", "one tap on one port")


class Unmatched(Scale):
    """The port has a tap, but of the other direction: the program at its ingress has nothing to do."""

    name, what, is_tapped, direction = "matching none", "one tap, of the other direction", False, "IN"


class Refused(Scale):
    """Every frame runs through a filter that takes none."""

    name, what, is_tapped, filter = "filter, none", "a filter of one term that takes no frame", False, "tcp"


SCALE = [
    ONE,
    variant("64 taps, 1 port", "to one destination", taps=64),
    variant("256 taps, 256 ports", "to one destination", taps=256, ports=256),
    variant("4096 taps, 256 ports", "16 taps a port, to one destination", taps=4096, ports=256),
    variant("filter, 1 term", "that takes every frame", filter="udp"),
    variant("filter, 8 terms", "that takes every frame by its last term", filter=" or ".join(TERMS + ["udp"])),
    Refused,
    Unmatched,
]


class Swapped(Scale):
    """The program is replaced every 100 ms; generations rise, and the taps' ids stay."""

    name, what, period = "a new program every 100 ms", "one tap on one port, generations rise", 0.1

    def start(self):
        super().start()
        self.swaps, self.ended = 0, threading.Event()
        self.thread = threading.Thread(target=self.swap)
        self.thread.start()

    def swap(self):
        path = self.state / "dataplane.sock"
        while not path.exists() and not self.ended.wait(0.02):
            pass
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(path))
            lines = control.makefile("rw")
            generation = 2
            while not self.ended.wait(self.period):
                program = dict(self.program(), generation=generation)
                lines.write(json.dumps({"method": "apply", "program": program}) + "\n")
                lines.flush()
                if "error" in json.loads(lines.readline()):
                    return
                generation += 1
                self.swaps += 1

    def stop(self):
        if hasattr(self, "ended"):
            self.ended.set()
            self.thread.join()
            swaps = self.swaps
            del self.ended
            super().stop()
            if swaps == 0:
                raise LabError("no program was taken while frames passed")
            return
        super().stop()


class Swapped64(Swapped):
    name, what, taps = "the same, 64 taps", "64 taps on one port", 64


SWAP = [ONE, Swapped, Swapped64]
