// AF_XDP sockets in a real kernel: one area registered by several, a frame through two of them.

import CShims
import FastPath
import FastPathHost
import Glibc
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct XSKSocketTests {
    @Test func severalSocketsRegisterOneArea() throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            try ip("link set v0 up")
            try ip("link set v1 up")
            let bytes = 512 * 4096
            let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
            defer { munmap(memory, bytes) }
            let area = XSKSocket.Area(base: memory, bytes: bytes, chunkSize: 4096)
            let sender = Int32(if_nametoindex("v0")), receiver = Int32(if_nametoindex("v1"))
            let capture = try CaptureProgram.best()
            let steer = try SteerProgram(ownTunnels: capture.ownTunnelsMap)
            try steer.attach(interface: receiver, name: "v1")
            let chunks = (0..<64).map { UInt64($0) * 4096 }
            let span = try XSKSocket.open(
                .receive, interface: receiver, name: "v1", queue: 0, area: area, chunks: chunks)
            try steer.steer(queue: 0, into: span.descriptor)
            let uplink = try XSKSocket.open(.transmit, interface: sender, name: "v0", queue: 0, area: area)
            #expect(!span.isZeroCopy && span.takesLongFrames && uplink.takesLongFrames)
            #expect(span.receiveDrops == 0)

            // A frame out of chunk 100 through one socket arrives in a chunk of the other, behind 256 + 64 bytes.
            let payload = (0..<128).map { UInt8($0) }
            memset(memory + 100 * 4096, 0xFF, 6)
            (memory + 100 * 4096 + 14).copyMemory(from: payload, byteCount: payload.count)
            uplink.data.elements.assumingMemoryBound(to: xdp_desc.self)[0] = xdp_desc(
                addr: 100 * 4096, len: UInt32(14 + payload.count), options: 0)
            uplink.data.producer.assumingMemoryBound(to: UInt32.self).pointee = 1
            #expect(sendto(uplink.descriptor.raw, nil, 0, Int32(MSG_DONTWAIT), nil, 0) == 0)
            func arrived() -> [xdp_desc] {
                let count = span.data.producer.assumingMemoryBound(to: UInt32.self).pointee
                return (0..<Int(count)).map { span.data.elements.assumingMemoryBound(to: xdp_desc.self)[$0] }
            }
            #expect(eventually { arrived().contains { $0.len == 142 } })
            let descriptor = try #require(arrived().first { $0.len == 142 })
            #expect(descriptor.addr % 4096 == 256 + UInt64(XSKSocket.headroom))
            #expect(memcmp(memory + Int(descriptor.addr) + 14, payload, payload.count) == 0)
        }
    }

    @Test func aTakenQueueSaysSo() throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            try ip("link set v0 up")
            let bytes = 64 * 4096
            let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
            defer { munmap(memory, bytes) }
            let area = XSKSocket.Area(base: memory, bytes: bytes, chunkSize: 4096)
            let index = Int32(if_nametoindex("v0"))
            let first = try XSKSocket.open(.transmit, interface: index, name: "v0", queue: 0, area: area)
            #expect(throws: HostError.self) {
                try XSKSocket.open(.transmit, interface: index, name: "v0", queue: 0, area: area)
            }
            _ = first.queue
        }
    }
}
