// From one line of the control socket to its reply. Before it: ControlSocket. After it: Dataplane.

import FoundationEssentials
import Logging
import MirrorProgram
import PacketFilter

/// Answers `apply`, `status`, `stats` and `watch`.
final class ControlService {
    private let dataplane: Dataplane
    private let directory: StateDirectory
    private let logger: Logger

    init(_ dataplane: Dataplane, _ directory: StateDirectory, _ logger: Logger) {
        self.dataplane = dataplane
        self.directory = directory
        self.logger = logger
    }

    /// One reply, whatever the line is.
    func answer(_ line: ArraySlice<UInt8>) -> ControlAnswer {
        let reply: DataplaneReply
        var stream: WatchStream?
        do {
            let request = try JSONDecoder().decode(DataplaneRequest.self, from: Data(line))
            if case .watch(let taps) = request { stream = try WatchStream(dataplane, taps) }
            reply = try serve(request)
        } catch let error as DecodingError {
            reply = DataplaneReply(error: error.place)
        } catch {
            reply = DataplaneReply(error: "\(error)")
        }
        let bytes = Self.bytes(reply)
        return stream.map { .stream(bytes, $0) } ?? .reply(bytes)
    }

    private static func bytes(_ reply: DataplaneReply) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(reply)).map { Array($0) } ?? Array(#"{"error":"the reply cannot be written"}"#.utf8)
    }

    private func serve(_ request: DataplaneRequest) throws -> DataplaneReply {
        switch request {
        case .status: return DataplaneReply(status: dataplane.status())
        case .stats: return DataplaneReply(stats: dataplane.statistics())
        case .watch(let taps): return DataplaneReply(watch: taps)
        case .apply(var program):
            try program.validate()
            try program.compileFilters()
            // On disk first: what was acknowledged is run again after any end.
            let before = try directory.lastProgram()
            try directory.save(program: Array(JSONEncoder().encode(program)))
            do throws(HostError) {
                try dataplane.run(program)
            } catch {
                if let before { try directory.save(program: before) } else { directory.removeProgram() }
                throw error
            }
            logger.info("runs program \(program.generation)")
            return DataplaneReply(status: dataplane.status())
        }
    }
}
