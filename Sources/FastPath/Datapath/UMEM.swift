// The frames' memory: one area of equal chunks that every AF_XDP socket of a worker registers as its UMEM.
// A chunk is always in exactly one place, and the places are counted (UMEM chunks = sum over places).

import CShims

/// The chunks of one worker, and where each of them is.
public struct UMEM: ~Copyable {
    /// Bytes of a chunk: the largest that aligned mode allows (a page).
    public static var chunkSize: Int { 4096 }
    @inline(__always) static var chunkShift: UInt64 { 12 }

    /// Where a chunk is. Sockets are numbered 0 ..< 4096.
    enum Place {
        @inline(__always) static var free: UInt16 { 0 }
        /// In the hands of the worker between an RX ring and what follows.
        @inline(__always) static var received: UInt16 { 1 }
        /// In the hands of the host side.
        @inline(__always) static var host: UInt16 { 2 }
        @inline(__always) static func fill(_ socket: UInt16) -> UInt16 { 4 &+ socket &* 2 }
        @inline(__always) static func transmit(_ socket: UInt16) -> UInt16 { 5 &+ socket &* 2 }
    }

    public let base: UnsafeMutableRawPointer
    public let chunkCount: Int
    public var byteCount: Int { chunkCount * Self.chunkSize }

    private let freeChunks: UnsafeMutablePointer<UInt32>
    private(set) var freeCount: Int
    /// Chunks that copies must leave: originals of `inline` ports need them.
    var reserve = 0
    private let places: UnsafeMutablePointer<UInt16>

    /// Maps and touches the whole area.
    ///
    /// - Returns: nil when there is no memory for it.
    public init?(chunkCount: Int) {
        guard let area = hs_map_area(chunkCount * Self.chunkSize) else { return nil }
        self.init(area, chunkCount: chunkCount)
    }

    /// - Parameter area: mapped and touched, of `chunkCount` chunks, on a page boundary; taken over.
    public init(_ area: UnsafeMutableRawPointer, chunkCount: Int) {
        base = area
        self.chunkCount = chunkCount
        freeChunks = .allocate(capacity: chunkCount)
        places = .allocate(capacity: chunkCount)
        places.initialize(repeating: Place.free, count: chunkCount)
        freeCount = chunkCount
        for index in 0..<chunkCount { freeChunks[index] = UInt32(chunkCount - 1 - index) }
    }

    deinit {
        munmap(base, byteCount)
        freeChunks.deallocate()
        places.deallocate()
    }

    /// Free chunks that a copy may have; negative where originals lack some.
    @inline(__always) var spare: Int { freeCount &- reserve }

    /// Takes a chunk out of the free ones. Precondition: `freeCount > 0`.
    @inline(__always)
    mutating func take(for place: UInt16) -> UInt32 {
        freeCount &-= 1
        let chunk = freeChunks[freeCount]
        places[Int(chunk)] = place
        return chunk
    }

    @inline(__always)
    mutating func give(_ chunk: UInt32) {
        freeChunks[freeCount] = chunk
        freeCount &+= 1
        places[Int(chunk)] = Place.free
    }

    @inline(__always)
    func move(_ chunk: UInt32, to place: UInt16) { places[Int(chunk)] = place }

    @inline(__always)
    func isAt(_ chunk: UInt32, _ place: UInt16) -> Bool { places[Int(chunk)] == place }

    @inline(__always)
    static func chunk(of address: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: address >> chunkShift) }

    @inline(__always)
    static func address(of chunk: UInt32) -> UInt64 { UInt64(chunk) << chunkShift }

    /// Chunks by place, read while the worker runs: exact only at rest.
    public func census() -> (free: Int, fill: Int, receive: Int, transmit: Int) {
        var count = (free: 0, fill: 0, receive: 0, transmit: 0)
        for index in 0..<chunkCount {
            switch places[index] {
            case Place.free: count.free += 1
            case Place.received, Place.host: count.receive += 1
            case let place where place & 1 == 0: count.fill += 1
            default: count.transmit += 1
            }
        }
        return count
    }

    /// The chunks that a socket's rings hold. Call it when the worker has let go of the socket and it is closed.
    public func chunks(heldBy socket: UInt16) -> [UInt32] {
        (0..<chunkCount).filter { places[$0] == Place.fill(socket) || places[$0] == Place.transmit(socket) }
            .map(UInt32.init)
    }
}
