// pass.bpf.c on one interface: an XDP program in the driver that lets everything pass. Before it: BPFObject.swift. After it:
// UplinkPrograms.swift, which says where.

import CLibBPF

/// The passing program of one interface; gone when it is let go, and with this process.
final class PassProgram {
    private let link: Descriptor
    private let interface: Int32

    /// Attaches in native mode, where nobody else's program is.
    init(interface: Int32, name: String) throws(HostError) {
        self.interface = interface
        let object = try BPFObject("pass", base64: passObject)
        try object.load("pass")
        link = try XDPLink.attach(bpf_program__fd(try object.program("pass")), interface, name)
    }

    /// Nobody has detached it by force.
    var isInPlace: Bool { XDPLink.isAttached(link, to: interface) }
}
