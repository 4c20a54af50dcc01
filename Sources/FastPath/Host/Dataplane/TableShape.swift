// Everything of a forwarding table that can be compared: a table is published when its shape differs from the last.

import FastPath
import MirrorProgram

struct TableShape: Equatable {
    struct Row: Equatable {
        var id: String
        var encapsulation: OuterHeader?
        var frameLimit: Int
        /// Number of the uplink's socket.
        var uplink: UInt16?
        var fate: DropReason?
        var whole: WholeWay?
    }

    var generation: UInt32
    var previous: UInt32?
    /// By the destinations' indices.
    var rows: [Row?]
    var uplinks: [UInt16]
    /// By interface.
    var limits: [Int32: MirrorProgram.RateLimit]
    var spans: [UInt16]
    /// Numbers of other workers' uplinks that this one sends for.
    var handovers: [UInt16]
    var lanes: [Lane]
    var packets: Set<PacketPlace>
    /// Tunnels of ours that the worker must know by itself.
    var guarded: Set<TunnelKey>

    /// A pair's sockets under the port that it is at the moment.
    struct Lane: Equatable {
        var number: UInt16
        var slot: Int
        var side: MirrorProgram.Side
    }
}
