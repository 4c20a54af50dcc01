// Who runs where: the topology read from a tree of files as sysfs has them, and what is planned from it.

import FastPathHost
import Foundation
import Glibc
import MirrorProgram
import Testing

@Suite struct CoresTests {
    /// A sysfs of two nodes with four CPUs each; 3 and 7 are isolated, 6 is offline. eth0 is on node 1.
    private static func tree(_ body: (String) throws -> Void) throws {
        let root = FileManager.default.temporaryDirectory.appending(
            path: "hs-sysfs-\(getpid())-\(UInt32.random(in: 0...(.max)))")
        defer { try? FileManager.default.removeItem(at: root) }
        let files = [
            "devices/system/cpu/online": "0-5,7\n", "devices/system/cpu/isolated": "3,7\n",
            "devices/system/node/online": "0-1\n", "devices/system/node/node0/cpulist": "0-3\n",
            "devices/system/node/node1/cpulist": "4-7\n", "class/net/eth0/ifindex": "5\n",
            "class/net/eth0/device/numa_node": "1\n", "class/net/eth1/ifindex": "6\n",
            "class/net/eth1/device/numa_node": "-1\n",
        ]
        for (path, text) in files {
            let file = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        try body(root.path)
    }

    private static let twoNodes = Topology(
        online: [0, 1, 2, 3, 4, 5, 7], isolated: [3, 7], nodes: [0: [0, 1, 2, 3], 1: [4, 5, 7]])
    private static let small = Topology(online: [0, 1], nodes: [0: [0, 1]])

    @Test func theTreeIsRead() throws {
        try Self.tree { (root: String) throws in
            #expect(try Topology(root: root) == Self.twoNodes)
            #expect(Topology.node(ofInterface: "eth0", index: 5, root: root) == 1)
            // Another namespace's eth0, no node, no such interface.
            #expect(Topology.node(ofInterface: "eth0", index: 9, root: root) == nil)
            #expect(Topology.node(ofInterface: "eth1", index: 6, root: root) == nil)
            #expect(Topology.node(ofInterface: "eth2", index: 7, root: root) == nil)
        }
        #expect(throws: HostError.self) { try Topology(root: "/nonexistent") }
        #expect(try !Topology().online.isEmpty)
    }

    @Test func byItself() throws {
        #expect(try WorkerPlan.workers(Self.small, CoreOptions()) == [WorkerPlan()])
        #expect(try WorkerPlan.workers(Self.twoNodes, CoreOptions()) == [WorkerPlan()])
        let many = Topology(online: Array(0..<32), isolated: Set(24..<32), nodes: [0: Array(0..<32)])
        #expect(try WorkerPlan.workers(many, CoreOptions()).count == 3)
        let most = Topology(online: Array(0..<256), nodes: [:])
        #expect(try WorkerPlan.workers(most, CoreOptions()).count == 8)
    }

    @Test func severalStayOnTheirNodes() throws {
        #expect(try WorkerPlan.workers(Self.small, CoreOptions(workers: 4)) == Array(repeating: WorkerPlan(), count: 4))
        let plan = try WorkerPlan.workers(Self.twoNodes, CoreOptions(workers: 3))
        #expect(plan.map(\.node) == [0, 1, 0])
        #expect(plan.map(\.cpus) == [[0, 1, 2], [4, 5], [0, 1, 2]])
        #expect(!plan.contains { $0.isRealTime })
        for options in [CoreOptions(nice: 5), CoreOptions(workers: 3, nice: 5), CoreOptions(cpus: [1, 7], nice: 5)] {
            #expect(try WorkerPlan.workers(Self.twoNodes, options).allSatisfy { $0.nice == 5 })
        }
    }

    @Test func namedCPUs() throws {
        let plan = try WorkerPlan.workers(Self.twoNodes, CoreOptions(cpus: [7, 1]))
        #expect(plan == [WorkerPlan(cpus: [7], node: 1), WorkerPlan(cpus: [1], node: 0)])
        let realTime = try WorkerPlan.workers(Self.twoNodes, CoreOptions(cpus: [3, 7], isRealTime: true))
        #expect(realTime.map(\.isRealTime) == [true, true])
        #expect(try WorkerPlan.workers(Self.small, CoreOptions(cpus: [1])) == [WorkerPlan(cpus: [1])])
    }

    @Test(arguments: [
        (CoreOptions(workers: 0), "1 to 16"), (CoreOptions(workers: 17), "1 to 16"),
        (CoreOptions(workers: 3, cpus: [1, 2]), "--cpus names 2"), (CoreOptions(cpus: [1, 1]), "twice"),
        (CoreOptions(cpus: [6]), "not online"), (CoreOptions(isRealTime: true), "--cpus"),
        (CoreOptions(cpus: [3, 4], isRealTime: true), "CPU 4 is not isolated"),
    ])
    func whatCannotBeHad(_ options: CoreOptions, _ why: String) {
        let error = #expect(throws: HostError.self) { try WorkerPlan.workers(Self.twoNodes, options) }
        #expect(error?.description.contains(why) == true, "\(String(describing: error))")
    }

    @Test func optionsFromTheEnvironment() throws {
        let variables = [
            "HELIOSTAT_WORKERS": "2", "HELIOSTAT_CPUS": "4-5", "HELIOSTAT_REALTIME": "1", "HELIOSTAT_BUSY_POLL": "0",
        ]
        let options = try CoreOptions().completed { variables[$0] }
        #expect(options == CoreOptions(workers: 2, cpus: [4, 5], isRealTime: true))
        #expect(options.arguments == ["--nice=0", "--workers", "2", "--cpus", "4,5", "--realtime"])
        #expect(try CoreOptions(workers: 3, cpus: [0]).completed { variables[$0] }.cpus == [0])
        for (name, text) in [("HELIOSTAT_WORKERS", "many"), ("HELIOSTAT_CPUS", "1-"), ("HELIOSTAT_REALTIME", "yes")] {
            #expect(throws: HostError.self) { try CoreOptions().completed { $0 == name ? text : nil } }
        }
        #expect(CoreOptions.cpus("2,4-6") == [2, 4, 5, 6])
        for list in ["", ",", "3-1", "1-2-3", "-1", "x"] { #expect(CoreOptions.cpus(list) == nil, "\(list)") }
    }

    private static func program(_ ports: [(id: String, destinations: [String])]) -> MirrorProgram {
        let sequenced = { (id: String, remote: String) in
            MirrorProgram.Destination(
                id: id, target: .tunnel(.init(remote: IPAddress(remote)!, encapsulation: .erspan2, tunnelID: 1)))
        }
        return MirrorProgram(
            ports: ports.map { .init(id: $0.id, interface: $0.id) },
            destinations: [
                .init(id: "plain", target: .tunnel(.init(remote: IPAddress("192.0.2.1")!, tunnelID: 1))),
                sequenced("a1", "192.0.2.1"), sequenced("a2", "192.0.2.1"), sequenced("b", "192.0.2.2"),
                .init(id: "all", target: .spread(["plain", "b"])),
            ],
            taps: ports.map { .init(id: $0.id, port: $0.id, direction: .both, destinations: $0.destinations) })
    }

    @Test func portsAreSharedOut() {
        let program = Self.program((0..<6).map { ("p\($0)", ["plain"]) })
        let assignment = PortAssignment(program, nodes: [nil, nil, nil])
        #expect((0..<3).map { worker in assignment.workers.values.count { $0 == worker } } == [2, 2, 2])
        #expect(Set(PortAssignment(program, nodes: [nil]).workers.values) == [0])
    }

    @Test func whatIsNumberedTogetherStaysTogether() {
        let program = Self.program([
            ("p0", ["plain"]), ("p1", ["a1"]), ("p2", ["b"]), ("p3", ["plain", "a2"]), ("p4", ["all"]),
            ("p5", ["plain"]),
        ])
        #expect(PortAssignment.groups(program) == [["p0"], ["p1", "p3"], ["p2", "p4"], ["p5"]])
        let workers = PortAssignment(program, nodes: [nil, nil, nil, nil]).workers
        #expect(workers["p1"] == workers["p3"] && workers["p2"] == workers["p4"] && workers["p1"] != workers["p2"])
        // One port on both pairs joins everything that has either.
        let joined = Self.program([("p0", ["a1"]), ("p1", ["b"]), ("p2", ["a2", "b"])])
        #expect(PortAssignment.groups(joined) == [["p0", "p1", "p2"]])
    }

    @Test func portsStayWhereTheyAre() {
        let before = PortAssignment(
            Self.program([("p0", ["plain"]), ("p1", ["plain"]), ("p2", ["plain"])]), nodes: [nil, nil])
        let after = PortAssignment(
            Self.program([("p2", ["plain"]), ("p1", ["plain"]), ("p3", ["plain"])]), nodes: [nil, nil],
            previous: before.workers)
        #expect(after.workers["p1"] == before.workers["p1"] && after.workers["p2"] == before.workers["p2"])
        let merged = PortAssignment(
            Self.program([("p0", ["a1"]), ("p1", ["a2"]), ("p2", ["plain"])]), nodes: [nil, nil],
            previous: before.workers)
        #expect(merged.workers["p0"] == merged.workers["p1"])
    }

    @Test func portsGoToTheirNode() {
        let program = Self.program((0..<4).map { ("p\($0)", ["plain"]) })
        let assignment = PortAssignment(
            program, nodes: [0, 1], portNodes: ["p0": 1, "p1": 1, "p2": 1, "p3": 0])
        #expect(assignment.workers == ["p0": 1, "p1": 1, "p2": 1, "p3": 0])
    }

    @Test func queuesByWorker() {
        #expect(QueueAssignment.order(worker: 0, workers: 1, queues: 3) == [0, 1, 2])
        #expect(QueueAssignment.order(worker: 1, workers: 2, queues: 4) == [1, 2, 3, 0])
        #expect(QueueAssignment.order(worker: 2, workers: 4, queues: 2) == [0, 1])
        #expect(QueueAssignment.order(worker: 0, workers: 4, queues: 0) == [0])
    }

    @Test func framesMemory() throws {
        let memory = try FrameMemory(bytes: 4 << 20, node: Topology().nodes.keys.min())
        defer { munmap(memory.base, memory.bytes) }
        #expect(memory.obstacle == nil)
        #expect(memory.isHuge || UInt(bitPattern: memory.base) & (2 << 20 - 1) == 0)
        #expect(FrameMemory.node(of: memory.base) == Topology.firstNode)
        memory.base.storeBytes(of: 7, toByteOffset: memory.bytes - 1, as: UInt8.self)
        let smaps = """
            7f00-7f40 rw-p 00000000 00:00 0
            Size:               64 kB
            AnonHugePages:       0 kB
            VmFlags: rd wr
            7f40-7f80 rw-p 00000000 00:00 0 [heap]
            AnonHugePages:    2048 kB
            """
        #expect(FrameMemory.transparentBytes(at: 0x7f40, smaps: smaps) == 2 << 20)
        #expect(FrameMemory.transparentBytes(at: 0x7f3f, smaps: smaps) == 0)
    }
}

extension Topology {
    fileprivate static var firstNode: Int? { try? Topology().nodes.keys.min() }
}
