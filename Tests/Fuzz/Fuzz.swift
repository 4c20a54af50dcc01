// What libFuzzer calls, once for each input: HELIOSTAT_FUZZ names the target. Built and run by Tests/fuzz, with the
// sources of MirrorProgram and FastPath, replay's reader and deliver.bpf.c instrumented for coverage and addresses; a
// fault ends the process.

import Foundation

nonisolated(unsafe) private let target: ([UInt8]) -> Void = {
    switch ProcessInfo.processInfo.environment["HELIOSTAT_FUZZ"] {
    case "capture": FuzzCapture.take
    case "deliver": FuzzDeliver().take
    case "frame": FuzzFrame().take
    case "filter": FuzzFilter().take
    case "program": FuzzProgram.take
    case let name: fatalError("HELIOSTAT_FUZZ names no target: \(name ?? "nothing")")
    }
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func takeOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    target(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
}

/// Ends the process with a fault that libFuzzer keeps.
func expect(_ condition: Bool, _ words: @autoclosure () -> String) {
    if !condition { fatalError(words()) }
}

/// An input as fields and, at its end, bytes.
struct Input {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The next byte, 0 at the end.
    mutating func byte() -> UInt8 {
        defer { at += 1 }
        return at < bytes.count ? bytes[at] : 0
    }

    mutating func word() -> UInt16 { UInt16(byte()) << 8 | UInt16(byte()) }
    mutating func long() -> UInt32 { UInt32(word()) << 16 | UInt32(word()) }
    var rest: [UInt8] { Array(bytes.dropFirst(at)) }
}
