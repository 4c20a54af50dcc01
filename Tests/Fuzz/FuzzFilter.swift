// Target `filter`: any classic BPF program over any frame. What our check accepts libpcap's accepts, and the verdict is
// that of libpcap's own interpreter.

import CShims
import FastPath
import MirrorProgram

/// libpcap's struct bpf_insn.
private struct Instruction {
    var code: UInt16
    var jumpTrue, jumpFalse: UInt8
    var k: UInt32
}

@_silgen_name("bpf_filter")
private func libpcapFilter(_ code: UnsafeRawPointer, _ frame: UnsafeRawPointer, _ wire: UInt32, _ caught: UInt32)
    -> UInt32
@_silgen_name("bpf_validate")
private func libpcapValidate(_ code: UnsafeRawPointer, _ count: CInt) -> CInt

final class FuzzFilter {
    private let ring = PoisonedRing(ring: FakeCaptureRing())
    private let rig: Rig
    private let uplink = FakeUplink(number: 1, size: 256)
    private let tap = CounterBlock.allocate()
    private let state = TapState.allocate()
    private let plan: DestinationPlan

    init() {
        rig = Rig(rings: [ring.ring], chunks: 256)
        plan = DestinationPlan(
            encapsulation: nil, frameLimit: 9000, uplink: uplink.uplink, fate: nil, counters: .allocate())
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        let count = 1 + Int(input.byte() & 31)
        let missing = UInt32(input.byte())
        var code: [MirrorProgram.FilterInstruction] = []
        for _ in 0..<count {
            code.append(
                .init(
                    code: UInt16(input.byte()), jumpTrue: input.byte(), jumpFalse: input.byte(),
                    k: input.byte() & 1 == 0 ? UInt32(input.byte()) : input.long()))
        }
        var frame = input.rest
        frame += [UInt8](repeating: 0, count: max(0, 14 - frame.count))
        frame.removeLast(max(0, frame.count - 2000))
        var wanted = MirrorProgram.Tap(id: "t", port: "p", direction: .both, destinations: ["d"])
        wanted.filter = .init(expression: "fuzz", code: code)
        let program = MirrorProgram(
            ports: [.init(id: "p", interface: "p")], destinations: [.init(id: "d", target: .interface("d"))],
            taps: [wanted])
        guard (try? program.validate()) != nil else { return }
        let theirs = code.map { Instruction(code: $0.code, jumpTrue: $0.jumpTrue, jumpFalse: $0.jumpFalse, k: $0.k) }
        let length = UInt32(frame.count)
        let verdict = theirs.withUnsafeBytes { code in
            expect(libpcapValidate(code.baseAddress!, CInt(theirs.count)) != 0, "libpcap refuses what we accept")
            return frame.withUnsafeBytes { libpcapFilter(code.baseAddress!, $0.baseAddress!, length + missing, length) }
        }
        let selected = Selection.Tap(counters: tap, destinations: [0], actions: (wanted, state))
        _ = rig.publish(
            Selection(generation: 1, ports: [.init(slot: 0, taps: [selected], spreads: [])]), [plan], [uplink])
        var header = record(length: frame.count)
        header.length = length + missing
        header.gso_segments = 1
        header.flags = UInt8(HS_UNFILTERED.rawValue)
        let before = plan.counters.offered
        ring.with(header, frame) { rig.run() }
        rig.worker.freeTables()
        _ = uplink.sent(rig.area)
        let ours = plan.counters.offered != before
        expect(ours == (verdict != 0), "libpcap says \(verdict), we say \(ours)")
    }
}
