// What libpcap itself says of a frame.

import CLibPCAP
public import MirrorProgram

extension MirrorProgram.PacketFilter {
    /// The verdict of libpcap's interpreter.
    public func reference(_ frame: [UInt8]) -> Bool {
        var instructions = code.map {
            bpf_insn(code: $0.code, jt: $0.jumpTrue, jf: $0.jumpFalse, k: $0.k)
        }
        return instructions.withUnsafeMutableBufferPointer { buffer in
            var program = bpf_program(bf_len: UInt32(buffer.count), bf_insns: buffer.baseAddress)
            var header = pcap_pkthdr()
            header.len = UInt32(frame.count)
            header.caplen = UInt32(frame.count)
            return pcap_offline_filter(&program, &header, frame) != 0
        }
    }
}
