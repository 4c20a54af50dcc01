"""The peers that take the originals out of the kernel: Open vSwitch's userspace datapath, and DPDK. They run from
where install-peers put them, or from where the system has them. Before it: peers.py, which has the kernel's own.
"""
import os
import signal
import subprocess
import time
from pathlib import Path

from lab import MACS, VNI, LabError, run, stop
from peers import Peer

FETCHED = Path(__file__).resolve().parent.parent / ".build/peers"
LIBRARIES = f"/usr/lib/{os.uname().machine}-linux-gnu"


def find(path):
    """A file of the peers: what was fetched, else the system's."""
    for root in (FETCHED, Path("/")):
        if (root / path.lstrip("/")).exists():
            return root / path.lstrip("/")
    raise LabError(f"{path} is not there: run `make bench-peers`")


class OpenVSwitch(Peer):
    """The netdev datapath with one flow from p-src to p-dst and a Mirror to a vxlan port."""

    name, what = "OVS AF_PACKET", "Open vSwitch, userspace datapath, Mirror to a vxlan port"
    kernel_forwards = False
    port_type = "system"

    def start(self):
        home = self.lab.path / "ovs"
        home.mkdir(exist_ok=True)
        (home / "conf.db").unlink(missing_ok=True)
        self.environment = dict(
            os.environ, LD_LIBRARY_PATH=f"{FETCHED}{LIBRARIES}", **{
                f"OVS_{name}DIR": str(home) for name in ("RUN", "LOG", "DB", "SYSCONF")})
        schema = find("/usr/share/openvswitch/vswitch.ovsschema")
        self.tool("/usr/bin/ovsdb-tool", "create", home / "conf.db", schema)
        self.database = f"unix:{home}/db.sock"
        server = [find("/usr/sbin/ovsdb-server"), f"--remote=p{self.database}", "--unixctl", home / "server.ctl"]
        self.daemon(*server, home / "conf.db")
        self.wait_for(home / "db.sock")
        self.vsctl("--no-wait", "init")
        mask = f"{1 << self.options.mirror_cpu:x}" if self.options.mirror_cpu >= 0 else "3"
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", f"other_config:pmd-cpu-mask={mask}")
        self.control = home / "switch.ctl"
        self.daemon(find("/usr/lib/openvswitch-switch/ovs-vswitchd"), self.database, "--unixctl", self.control)
        self.wait_for(self.control)
        self.connect()

    def connect(self):
        kind = [f"type={self.port_type}"] + (["options:n_rxq=1"] if self.port_type == "afxdp" else [])
        self.vsctl(
            "add-br", "ovs0", "--", "set", "bridge", "ovs0", "datapath_type=netdev", "fail_mode=secure", "--",
            "add-port", "ovs0", "p-src", "--", "set", "interface", "p-src", "ofport_request=1", *kind, "--",
            "add-port", "ovs0", "p-dst", "--", "set", "interface", "p-dst", "ofport_request=2", *kind, "--",
            "add-port", "ovs0", "vx", "--", "set", "interface", "vx", "type=vxlan", "options:remote_ip=192.0.2.9",
            f"options:key={VNI}")
        self.vsctl(
            "add-br", "ovsup", "--", "set", "bridge", "ovsup", "datapath_type=netdev", "--",
            "add-port", "ovsup", "uplink", "--", "set", "interface", "uplink", *kind)
        self.vsctl(
            "--", "--id=@in", "get", "port", "p-src", "--", "--id=@out", "get", "port", "vx", "--", "--id=@m", "create",
            "mirror", "name=m", "select-src-port=@in", "output-port=@out", "--", "set", "bridge", "ovs0", "mirrors=@m")
        for device in ("p-src", "p-dst", "uplink"):
            error = self.vsctl("get", "interface", device, "error").strip()
            if error != "[]":
                raise LabError(f"{device}: {error}")
        for flow in ("in_port=1,actions=output:2", "in_port=2,actions=output:1"):
            self.tool("/usr/bin/ovs-ofctl", "add-flow", f"unix:{self.lab.path}/ovs/ovs0.mgmt", flow)
        self.lab.undo("host", "ip", "addr", "del", "192.0.2.1/24", "dev", "uplink")
        self.lab.do("host", "ip", "addr", "add", "192.0.2.1/24", "dev", "ovsup")
        self.lab.do("host", "ip", "link", "set", "ovsup", "up", "mtu", 1600)
        self.tool("/usr/bin/ovs-appctl", "-t", self.control, "tnl/neigh/set", "ovsup", "192.0.2.9", MACS["mon"])

    def stop(self):
        super().stop()
        for device in ("ovs0", "ovsup", "ovs-netdev"):
            self.lab.undo("host", "ip", "link", "del", device)
        for device in ("p-src", "p-dst", "uplink"):
            self.lab.undo("host", "ip", "link", "set", "dev", device, "xdp", "off")
        self.lab.address()

    def daemon(self, *command):
        self.spawn(*command, ready=False, env=self.environment)

    def tool(self, path, *arguments):
        return run(self.lab.inside("host", find(path), *arguments), env=self.environment)

    def vsctl(self, *arguments):
        return self.tool("/usr/bin/ovs-vsctl", f"--db={self.database}", "--timeout=10", *arguments)

    def wait_for(self, path, patience=5):
        end = time.monotonic() + patience
        while not path.exists():
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                raise LabError(f"Open vSwitch did not start: {self.log()}")
            time.sleep(0.02)


class OpenVSwitchAFXDP(OpenVSwitch):
    name, what, port_type = "OVS afxdp", "the same with afxdp ports and a polling thread", "afxdp"


class DPDK(Peer):
    """dpdk.c on three virtual devices."""

    name, what, driver = "DPDK af_packet", "a polling DPDK program of ours on net_af_packet", "net_af_packet"
    kernel_forwards = False

    def start(self):
        program = self.lab.native / "dpdk"
        if not program.exists():
            raise LabError("the DPDK program is not built: run `make bench-peers`")
        drivers = find(f"{LIBRARIES}/dpdk/pmds-23.0")
        devices = []
        for number, device in enumerate(("p-src", "p-dst", "uplink")):
            devices += ["--vdev", self.device(number, device)]
        cpu = max(0, self.options.mirror_cpu)
        self.spawn(
            program, "-l", cpu, "--no-huge", "-m", 256, "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=4", "-d",
            drivers, *devices, "--", MACS["up"], MACS["mon"], VNI,
            env=dict(os.environ, LD_LIBRARY_PATH=f"{FETCHED}{LIBRARIES}"))

    def device(self, number, device):
        return f"net_af_packet{number},iface={device},qdisc_bypass=1,framesz=2048,blocksz=65536,framecnt=4096"

    def stop(self):
        super().stop()
        for device in ("p-src", "p-dst", "uplink"):
            self.lab.undo("host", "ip", "link", "set", "dev", device, "xdp", "off")
        self.lab.address()


class DPDKAFXDP(DPDK):
    name, what, driver = "DPDK af_xdp", "the same on net_af_xdp", "net_af_xdp"

    def device(self, number, device):
        return f"net_af_xdp{number},iface={device},start_queue=0,queue_count=1"


USERSPACE = [OpenVSwitch, OpenVSwitchAFXDP, DPDK, DPDKAFXDP]
