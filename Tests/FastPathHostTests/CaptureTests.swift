// The capture program in a real kernel: counts, hooks, generations, sweep.

import CShims
import FastPath
import FastPathHost
import Foundation
import Glibc
import Synchronization
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct CaptureTests {
    /// Sends `count` frames of 60 bytes out of `interface`.
    static func send(_ count: Int, _ interface: String) throws {
        var frame = [UInt8](repeating: 0xFF, count: 60)
        frame.replaceSubrange(6..<14, with: [2, 0, 0, 0, 0, 1, 0x88, 0xB5])
        for _ in 0..<count { try send(frame, interface) }
    }

    static func send(_ frame: [UInt8], _ interface: String, mark: UInt32 = 0) throws {
        let raw = socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0)
        defer { close(raw) }
        var mark = mark
        setsockopt(raw, SOL_SOCKET, Int32(HS_SO_MARK), &mark, 4)
        var address = [UInt8](repeating: 0, count: 20)  // struct sockaddr_ll
        address[0] = UInt8(AF_PACKET)
        withUnsafeBytes(of: Int32(if_nametoindex(interface))) { address.replaceSubrange(4..<8, with: $0) }
        let sent = address.withUnsafeBytes {
            sendto(raw, frame, frame.count, 0, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 20)
        }
        #expect(sent == frame.count)
    }

    @Test(arguments: [true, false], [CaptureHookKind.tcx, .clsact])
    func countsWhatMatches(readsKernelFields: Bool, kind: CaptureHookKind) throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            try ip("link set v0 up")
            try ip("link set v1 up")
            let program = try CaptureProgram(readsKernelFields: readsKernelFields)
            let maps = try CaptureMaps(program, CaptureRingSet(size: program.ringSize))
            let out = CapturePoint(slot: 9, direction: 1)
            let entries = try CaptureEntries(program, generation: 1, taps: [out: 1])
            try entries.install()
            let index = Int32(if_nametoindex("v0"))
            let loaded = try program.load(slot: 9, direction: HS_OUT)
            let hook = try CaptureHook(loaded, interface: index, name: "v0", ingress: false, kind: kind)
            #expect(hook.kind == kind && hook.isInPlace())
            try Self.send(5, "v0")
            try Self.send(3, "v1")  // ingress of v0: no program there
            #expect(entries.counts(out).matched >= 5 && entries.counts(out).matched < 8 + 20)
            #expect(maps.rings.rings.reduce(0) { $0 + $1.mapping.produced } > 0)
            let next = try CaptureEntries(program, generation: 2, taps: [:])
            try next.install()
            let final = entries.counts(out).matched
            try Self.send(5, "v0")
            #expect(entries.counts(out).matched == final)
        }
    }

    @Test func goesBackToTheHead() throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            let program = try CaptureProgram.best()
            let index = Int32(if_nametoindex("v0"))
            let hook = try CaptureHook(
                try program.load(slot: 0, direction: HS_IN), interface: index, name: "v0", ingress: true)
            #expect(hook.isInPlace())
            let intruder = try CaptureHook(
                try program.load(slot: 1, direction: HS_IN), interface: index, name: "v0", ingress: true)
            #expect(intruder.isInPlace() && !hook.isInPlace())
            try hook.restore("v0")
            #expect(hook.isInPlace() && !intruder.isInPlace())
        }
    }

    /// Meanwhile frames are neither missed for as long as the kernel waits for its readers, nor counted twice.
    @Test func goesBackToTheHeadWithoutAGap() throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            for name in ["v0", "v1"] { try ip("link set \(name) addrgenmode none up") }
            let program = try CaptureProgram.best()
            let maps = try CaptureMaps(program, CaptureRingSet(size: program.ringSize))
            let out = CapturePoint(slot: 0, direction: 1)
            let entries = try CaptureEntries(program, generation: 1, taps: [out: 1])
            try entries.install()
            let index = Int32(if_nametoindex("v0"))
            let attach = { (slot: Int) in
                try CaptureHook(
                    try program.load(slot: slot, direction: HS_OUT), interface: index, name: "v0", ingress: false)
            }
            let hook = try attach(0)
            let sent = Sent()
            for slot in 1...5 {
                let intruder = try attach(slot)
                #expect(try hook.keepPlace("v0") == (slot == 1), "later ones are borne with")
                #expect(hook.rival?.hasPrefix("program 'capture' (id ") == (slot == 1 ? nil : true))
                try hook.restore("v0")
                #expect(hook.isInPlace() && !intruder.isInPlace())
            }
            let count = sent.stop()
            let matched = entries.counts(out).matched
            #expect(matched <= count && matched > count / 10 * 9, "\(matched) of \(count)")
            withExtendedLifetime(maps) {}
        }
    }

    /// Sends out of `v0`, of the namespace that it is made in, until it is stopped.
    private final class Sent: @unchecked Sendable {
        private let isOver = Atomic<Bool>(false)
        private let done = DispatchSemaphore(value: 0)
        private var count: UInt64 = 0

        init() {
            Thread { [self] in
                while !isOver.load(ordering: .relaxed), (try? CaptureTests.send(1, "v0")) != nil { count += 1 }
                done.signal()
            }.start()
        }

        func stop() -> UInt64 {
            isOver.store(true, ordering: .relaxed)
            done.wait()
            return count
        }
    }

    @Test func xdpCopiesWhatIsReceivedAndTakesNobodysPlace() throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            try ip("link add d0 type bridge")
            for name in ["v0", "v1"] { try ip("link set \(name) up") }
            let program = try CaptureProgram.best()
            let maps = try CaptureMaps(program, CaptureRingSet(size: program.ringSize))
            let into = CapturePoint(slot: 9, direction: 0)
            let entries = try CaptureEntries(program, generation: 1, taps: [into: 1])
            try entries.install()
            let index = Int32(if_nametoindex("v0"))
            let loaded = try CaptureXDP.load(sharing: program, slot: 9, direction: HS_IN, interface: index)
            let hook = try CaptureHook(loaded, interface: index, name: "v0", ingress: true, kind: .xdp)
            #expect(hook.isInPlace())
            let before = entries.counts(into).matched
            try Self.send(5, "v1")
            usleep(50_000)  // a veth with XDP receives in NAPI
            #expect(entries.counts(into).matched >= before + 5)
            #expect(maps.rings.rings.reduce(0) { $0 + $1.mapping.produced } > 0)
            let refusal = #expect(throws: HostError.self) {
                _ = try CaptureHook(loaded, interface: index, name: "v0", ingress: true, kind: .xdp)
            }
            let words = "v0 has an XDP program already, 'capture' (id \(hook.programID))"
            #expect(refusal?.description.hasPrefix(words) == true)
            #expect(hook.isInPlace())
            let next = try CaptureXDP.load(sharing: program, slot: 9, direction: HS_IN, interface: index)
            let id = hook.programID
            try hook.replace(next, "v0")
            #expect(hook.programID != id && hook.isInPlace())
            let counted = entries.counts(into).matched
            try Self.send(5, "v1")
            #expect(eventually { entries.counts(into).matched >= counted + 5 })
            let none = #expect(throws: HostError.self) {
                let bridge = Int32(if_nametoindex("d0"))
                let other = try CaptureXDP.load(sharing: program, slot: 8, direction: HS_IN, interface: bridge)
                _ = try CaptureHook(other, interface: bridge, name: "d0", ingress: true, kind: .xdp)
            }
            #expect(none?.description == "d0 takes no native XDP program: its driver has none, or none for this MTU")
        }
    }

    @Test func sweepsFiltersOfAnEarlierRun() throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            let program = try CaptureProgram.best()
            let index = Int32(if_nametoindex("v0"))
            let hook = try CaptureHook(
                try program.load(slot: 0, direction: HS_IN), interface: index, name: "v0", ingress: true, kind: .clsact)
            var links = LinkTable()
            try links.reload(NetlinkSocket())
            #expect(Sweep.run(links) == ["v0"])
            #expect(!hook.isInPlace() && Sweep.run(links) == [])
        }
    }
}
