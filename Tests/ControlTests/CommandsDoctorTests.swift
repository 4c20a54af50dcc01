// `heliostat doctor`: each judgement over facts written by hand.

import ControlCommands
import Testing

@Suite struct CommandsDoctorTests {
    /// A machine on which all is well.
    static var healthy: MachineFacts {
        var facts = MachineFacts()
        facts.kernelRelease = "6.12.1-amd64"
        facts.architecture = "x86_64"
        facts.cpuFlags = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"]
        facts.isRoot = true
        facts.capabilities = 0x1FF_FFFF_FFFF
        facts.bpf = .works
        facts.bpfJIT = 1
        facts.hasBTF = true
        facts.tcx = .works
        facts.xdpSocket = .works
        facts.hasBPFFS = true
        facts.lockedMemory = 8 << 20
        facts.userExists = true
        facts.groupExists = true
        facts.dataplane = .runs(path: "/usr/libexec/heliostat-dataplane", capabilities: false)
        facts.stateDirectory.path = "/var/lib/heliostat"
        facts.stateDirectory.exists = true
        facts.stateDirectory.isDirectory = true
        facts.stateDirectory.writable = true
        facts.stateDirectory.mode = 0o750
        facts.stateDirectory.free = 5_000_000_000
        facts.api = .answers(at: "/var/lib/heliostat/api.sock", dataplaneConnected: true, reason: "")
        return facts
    }

    static func judge(_ name: String, _ change: (inout MachineFacts) -> Void) throws -> Finding {
        var facts = healthy
        change(&facts)
        return try #require(DoctorCheck.all.first { $0.name == name }).judge(facts)
    }

    @Test func allIsWell() {
        for check in DoctorCheck.all { #expect(check.judge(Self.healthy).level == .ok, "\(check.name)") }
    }

    @Test(
        arguments: [
            ("6.6.0", .ok), ("7.0", .ok), ("6.5.13", .warn), ("5.10.0-8-amd64", .warn), ("5.8.0", .warn),
            ("5.7.19", .fail),
            ("4.19.0", .fail), ("strange", .warn),
        ] as [(String, Finding.Level)])
    func kernels(_ release: String, _ level: Finding.Level) throws {
        #expect(try Self.judge("kernel") { $0.kernelRelease = release }.level == level)
    }

    @Test func cpuThatLacksInstructionsIsNamedWithThem() throws {
        let finding = try Self.judge("CPU") { $0.cpuFlags.subtract(["avx2", "movbe"]) }
        #expect(finding.level == .fail)
        #expect(finding.detail == "x86-64 without avx2, movbe")
        #expect(try Self.judge("CPU") { ($0.architecture, $0.cpuFlags) = ("aarch64", []) }.level == .ok)
    }

    @Test func kernelThatRefuses() throws {
        #expect(try Self.judge("BPF") { $0.bpf = .fails("Function not implemented") }.level == .fail)
        #expect(try Self.judge("BPF") { $0.bpf = .unknown("Operation not permitted") }.level == .warn)
        #expect(try Self.judge("BPF JIT") { $0.bpfJIT = 0 }.remedy == "sysctl -w net.core.bpf_jit_enable=1")
        #expect(try Self.judge("BPF JIT") { $0.bpfJIT = nil }.level == .warn)
        #expect(try Self.judge("BTF") { $0.hasBTF = false }.level == .warn)
        #expect(try Self.judge("tcx") { $0.tcx = .fails("Invalid argument") }.level == .warn)
        #expect(try Self.judge("tcx") { $0.tcx = .unknown("Operation not permitted") }.level == .ok)
        #expect(
            try Self.judge("tcx") { ($0.tcx, $0.kernelRelease) = (.unknown("Operation not permitted"), "6.1.0") }.level
                == .warn)
        #expect(try Self.judge("bpffs") { $0.hasBPFFS = false }.remedy == "mount -t bpf bpf /sys/fs/bpf")
        #expect(
            try Self.judge("AF_XDP") { $0.xdpSocket = .fails("Address family not supported by protocol") }.level
                == .fail)
    }

    @Test func lockedMemoryBindsOnlyWithoutPrivilege() throws {
        let limited: (inout MachineFacts) -> Void = { ($0.isRoot, $0.capabilities) = (false, 0) }
        #expect(try Self.judge("locked memory", limited).level == .warn)
        #expect(
            try Self.judge("locked memory") {
                limited(&$0)
                $0.lockedMemory = nil
            }.level == .ok)
        #expect(
            try Self.judge("locked memory") {
                limited(&$0)
                $0.dataplane = .runs(path: "/x", capabilities: true)
            }.level == .ok)
    }

    @Test func privilegesComeFromRootTheFileOrTheRunningDataplane() throws {
        let stopped = MachineFacts.API.unusable(CommandError("no API"))
        let plain = try Self.judge("privileges") { ($0.isRoot, $0.capabilities, $0.api) = (false, 0, stopped) }
        #expect(plain.level == .fail)
        #expect(plain.detail == "no CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK")
        let some = try Self.judge("privileges") {
            // CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN
            ($0.isRoot, $0.capabilities, $0.api) = (false, 1 << 12 | 1 << 13 | 1 << 21, stopped)
        }
        #expect(some.detail == "no CAP_IPC_LOCK")
        #expect(try Self.judge("privileges") { ($0.isRoot, $0.capabilities) = (false, 0) }.level == .ok)
        #expect(
            try Self.judge("privileges") {
                ($0.isRoot, $0.capabilities, $0.api) = (false, 0, stopped)
                $0.dataplane = .runs(path: "/x", capabilities: true)
            }.level == .ok)
    }

    @Test func dataplaneProgram() throws {
        let stopped = MachineFacts.API.unusable(CommandError("no API"))
        #expect(try Self.judge("heliostat-dataplane") { ($0.dataplane, $0.api) = (.missing, stopped) }.level == .fail)
        #expect(try Self.judge("heliostat-dataplane") { $0.dataplane = .missing }.level == .warn)
        let broken = try Self.judge("heliostat-dataplane") { $0.dataplane = .broken(path: "/x", reason: "signal 4") }
        #expect(broken.level == .fail)
        #expect(broken.detail == "/x does not run: signal 4")
    }

    @Test func stateDirectory() throws {
        #expect(try Self.judge("state directory") { $0.stateDirectory.isDirectory = false }.level == .fail)
        #expect(try Self.judge("state directory") { $0.stateDirectory.free = 1 << 20 }.level == .fail)
        #expect(
            try Self.judge("state directory") { $0.stateDirectory.mode = 0o777 }.remedy
                == "chmod o-w /var/lib/heliostat")
        #expect(try Self.judge("state directory") { $0.stateDirectory.exists = false }.level == .ok)
        #expect(
            try Self.judge("state directory") {
                ($0.stateDirectory.exists, $0.stateDirectory.writable) = (false, false)
            }.level
                == .warn)
        #expect(try Self.judge("state directory") { $0.stateDirectory.writable = false }.level == .ok)
    }

    @Test func whatRuns() throws {
        let stopped = MachineFacts.API.unusable(CommandError("no API at /x", remedy: "start it"))
        #expect(try Self.judge("API") { $0.api = stopped } == .warn("no API at /x", "start it"))
        #expect(try Self.judge("dataplane") { $0.api = stopped }.level == .warn)
        let apart = try Self.judge("dataplane") {
            $0.api = .answers(at: "/x", dataplaneConnected: false, reason: "no socket")
        }
        #expect(apart.level == .fail)
        #expect(apart.detail == "not connected: no socket")
    }

    @Test func textIsALineEachWithTheRemedyBelow() {
        #expect(
            DoctorCommand.text([
                ("kernel", .ok("Linux 6.12.1")), ("BPF JIT", .warn("off", "turn it on")),
                ("AF_XDP", .fail("no sockets", "x")),
            ]) == """
                ok    kernel   Linux 6.12.1
                warn  BPF JIT  off
                               -> turn it on
                FAIL  AF_XDP   no sockets
                               -> x

                Mirroring cannot work here (1 ok, 1 warn, 1 FAIL).

                """)
    }

    /// The real machine, whatever it is: an answer to every check, and a status that agrees with it.
    @Test func thisMachineGetsAnAnswer() async throws {
        let run = try await ProgramRun.heliostat(["doctor", "--state-dir", "/tmp/hs-none"])
        let lines = run.output.split(separator: "\n")
        for check in DoctorCheck.all {
            #expect(lines.contains { $0.dropFirst(6).hasPrefix(check.name + " ") }, "\(check.name)")
        }
        #expect(run.status == (lines.contains { $0.hasPrefix("FAIL") } ? 1 : 0))
        #expect(run.errors == "")
    }
}
