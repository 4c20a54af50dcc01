// The loop that makes the dataplane run what the store says: level-triggered, the same turn for a change, a timer, a
// reconnection and a restart. Before: the store's snapshot. After: the dataplane, the statuses in the store, telemetry.

package import ControlModel
package import ControlStore
package import ControlTelemetry
import Foundation
import Glibc
package import Logging
package import MirrorProgram

/// Reconciles one host.
package actor Reconciler {
    private let store: any Store
    private let host: String
    private let dataplane: DataplaneClient
    private let telemetry: Telemetry
    private let logger: Logger
    private let remotes: RemoteRules
    private let uplinks: [MirrorProgram.UplinkRule]
    private let filters = FilterCode()

    /// Between two turns, whatever comes: what a change waits for at most.
    private static let longestPause = Duration.milliseconds(500)

    /// How long a dataplane may be away before its taps are DOWN: longer than a restart takes.
    private let patience: Duration
    private var lastAnswer = ContinuousClock.now
    private var lastStatistics: ContinuousClock.Instant?
    private var report = ""
    /// Intents as of the last turn and what they come to, so that the next one works on what has changed only.
    private var last = Snapshot(revision: 0)
    private var desired: DesiredState?
    /// The last program that the dataplane is known to have taken.
    private var accepted: MirrorProgram?
    /// Turns left that look again soon, because what was applied is still settling.
    private var settling = 0

    /// - Parameters:
    ///   - host: name of the host that `dataplane` serves.
    ///   - remotes: the operator's rules for addresses that copies may be sent to.
    ///   - uplinks: the operator's rules for interfaces that copies leave through.
    ///   - patience: how long the dataplane may be away before its taps are DOWN.
    package init(
        store: any Store, host: String, dataplane: DataplaneClient, telemetry: Telemetry, logger: Logger,
        remotes: RemoteRules = RemoteRules(), uplinks: [MirrorProgram.UplinkRule] = [], patience: Duration = .seconds(2)
    ) {
        self.remotes = remotes
        self.uplinks = uplinks
        self.store = store
        self.host = host
        self.dataplane = dataplane
        self.telemetry = telemetry
        self.logger = logger
        self.patience = patience
    }

    /// Runs until the task is cancelled. What the dataplane runs stays as it is.
    package func run() async {
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let changes = store.watch(after: 0)
        await withTaskGroup { group in
            group.addTask {
                for await _ in changes { wake.yield() }
                wake.finish()
            }
            var waiting = wakes.makeAsyncIterator()
            while !Task.isCancelled {
                let begin = Self.processTime
                let delay = await turn()
                let (spent, end) = (Self.processTime - begin, ContinuousClock.now)
                let timer = Task {
                    do {
                        try await Task.sleep(for: delay)
                        wake.yield()
                    } catch {}
                }
                await waiting.next(isolation: self)
                timer.cancel()
                // A burst of changes is one turn; and turns have no more than a quarter of a CPU, so that they do not
                // slow down those who make the changes. Time in which the dataplane works for us slows nobody.
                let pause = min(spent * 3, Self.longestPause)
                let now = ContinuousClock.now
                try? await Task.sleep(until: max(end + pause, now + .milliseconds(10)))
            }
            group.cancelAll()
        }
    }

    /// CPU time that this process has had.
    private static var processTime: Duration {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// One turn: look at everything, apply what differs, write what it came to.
    ///
    /// - Returns: how long to wait for a change before the next turn.
    package func turn() async -> Duration {
        do {
            let snapshot = try await store.snapshot(after: last)
            let isSame = snapshot.revision == last.revision
            let desired =
                (isSame ? desired : nil)
                ?? DesiredState(
                    snapshot, host: host, remotes: remotes, filters: filters, uplinks: uplinks)
            (last, self.desired) = (snapshot, desired)
            let acknowledgement = try await acknowledgement(of: desired)
            let outcome = Outcome(
                snapshot, desired, acknowledgement, host: host, interfaces: NetworkInterfaces.present)
            try await write(outcome)
            if case .running = acknowledgement {
                settling -= settling > 0 ? 1 : 0
                await pollStatistics()
                return settling > 0 ? .milliseconds(100) : .seconds(1)
            }
            return .milliseconds(250)
        } catch {
            // What is interrupted at the end of this process is no trouble of the store's.
            if !Task.isCancelled { report("the store cannot be used; the dataplane runs on: \(error)", .error) }
            return .seconds(1)
        }
    }

    // MARK: Application

    private func acknowledgement(of desired: DesiredState) async throws -> Acknowledgement {
        do throws(DataplaneError) {
            let status = try await status(.status)
            lastAnswer = .now
            let program = try await program(for: desired, status)
            telemetry.record(desiredGeneration: program.generation)
            if status.runs(program) {
                accepted = program
                record(status)
                return .running(status)
            }
            return try await apply(program, status)
        } catch {
            if Task.isCancelled { return .unknown }
            let isRestart = ContinuousClock.now - lastAnswer < patience
            let reason = isRestart ? error.description : "\(error); \(Self.remedy)"
            telemetry.record(isConnected: false, reason: reason, status: nil)
            report("the dataplane is not connected: \(reason)", .warning)
            return isRestart ? .unknown : .silent(reason)
        }
    }

    /// What an operator does about a dataplane that stays away.
    private static let remedy = "restart heliostat serve as root, or start heliostat-dataplane"

    private func status(_ request: DataplaneRequest) async throws(DataplaneError) -> DataplaneStatus {
        let reply = try await dataplane.ask(request)
        guard let status = reply.status else { throw DataplaneError(reply.error ?? "its reply has no status") }
        return status
    }

    private func apply(
        _ program: MirrorProgram, _ before: DataplaneStatus
    ) async throws(DataplaneError) -> Acknowledgement {
        let reply = try await dataplane.ask(.apply(program))
        guard let status = reply.status else {
            let reason = reply.error ?? "its reply has no status"
            telemetry.record(isConnected: true, reason: "program refused: \(reason)", status: before)
            report("the dataplane refused program \(program.generation): \(reason)", .error)
            return .refused(reason, try await shrink(to: program, before) ?? before)
        }
        settling = 10
        accepted = program
        record(status)
        logger.info(
            "the dataplane runs program \(program.generation)",
            metadata: ["ports": "\(program.ports.count)", "taps": "\(program.taps.count)"])
        return .running(status)
    }

    /// After a refusal: what runs already, without what is not in `program` any more. So a program that cannot be run
    /// keeps nothing from being removed.
    ///
    /// - Returns: the dataplane's status afterwards; nil if there was nothing to remove, or that was refused too.
    private func shrink(
        to program: MirrorProgram, _ before: DataplaneStatus
    ) async throws(DataplaneError) -> DataplaneStatus? {
        let isKnown = accepted?.generation == before.generation
        var rest = (isKnown ? accepted : nil) ?? program
        let (taps, destinations) = (Set(before.taps.map(\.id)), Set(before.destinations.map(\.id)))
        rest.restrict(
            toTaps: taps.intersection(program.taps.map(\.id)),
            destinations: destinations.intersection(program.destinations.map(\.id)))
        if rest.taps.count == taps.count, rest.destinations.count == destinations.count { return nil }
        rest.generation = MirrorProgram.generation(after: max(program.generation, before.generation ?? 0))
        let reply = try await dataplane.ask(.apply(rest))
        guard let status = reply.status else {
            report("the dataplane refused even removals: \(reply.error ?? "its reply has no status")", .error)
            return nil
        }
        accepted = rest
        return status
    }

    private func record(_ status: DataplaneStatus) {
        telemetry.record(isConnected: true, reason: nil, status: status)
        report("the dataplane \(status.version) is connected", .info)
    }

    /// The desired program with its generation: the last one's if that was the same, else the one after the last,
    /// kept in the store before the dataplane sees it.
    private func program(for desired: DesiredState, _ status: DataplaneStatus) async throws(DataplaneError)
        -> MirrorProgram
    {
        do {
            let key = StoredProgram.key(host)
            return try await store.transact { [logger] transaction in
                var last: MirrorProgram?
                if let row = try await transaction.row(key) { last = Self.decoded(row, logger) }
                var program = desired.program
                program.generation = last?.generation ?? 0
                // Kept and not taken: the same number again. It must differ from that of whatever else runs.
                if program == last, program.generation != status.generation || status.runs(program) { return program }
                program.generation = MirrorProgram.generation(after: max(program.generation, status.generation ?? 0))
                transaction.put(key, try JSON(parsing: JSONEncoder().encode(program)))
                return program
            }
        } catch {
            throw DataplaneError("the program cannot be kept: \(error)")
        }
    }

    /// The program of the row. One that cannot be understood is as good as none: a new one takes its place at once.
    private static func decoded(_ row: Row, _ logger: Logger) -> MirrorProgram? {
        do {
            return try JSONDecoder().decode(MirrorProgram.self, from: Data(row.value))
        } catch {
            logger.error("the store's row \(row.key) cannot be understood and is replaced: \(error)")
            return nil
        }
    }

    // MARK: What it came to

    /// Writes what can be written; a row that changed meanwhile is left to the turn that its change wakes.
    private func write(_ outcome: Outcome) async throws(StoreError) {
        var statuses = outcome.statuses
        while !statuses.isEmpty, let changed = try await store.conflict(of: statuses) { statuses.forget(changed) }
        if !outcome.removals.isEmpty { _ = try await store.conflict(of: outcome.removals) }
    }

    private func pollStatistics() async {
        if let lastStatistics, ContinuousClock.now - lastStatistics < .milliseconds(900) { return }
        lastStatistics = .now
        if let statistics = try? await dataplane.ask(.stats).stats {
            telemetry.record(statistics, time: Date().timeIntervalSince1970)
        }
    }

    /// Logs a state of things once, when it becomes so.
    private func report(_ text: String, _ level: Logger.Level) {
        if text != report { logger.log(level: level, "\(text)") }
        report = text
    }
}

extension MirrorProgram {
    /// The generation that follows; after the largest one they begin again, since only a difference matters.
    fileprivate static func generation(after generation: UInt64) -> UInt64 {
        generation < largestGeneration ? generation + 1 : 1
    }

    /// Takes away all other taps and destinations, what they were needed for, and what needs them.
    fileprivate mutating func restrict(toTaps ids: Set<String>, destinations kept: Set<String>) {
        destinations.removeAll { !kept.contains($0.id) }
        taps.removeAll { tap in !ids.contains(tap.id) || !kept.isSuperset(of: tap.destinations) }
        let captured = Set(taps.map(\.port))
        ports.removeAll { !captured.contains($0.id) }
    }
}

extension DataplaneStatus {
    /// Whether this is the program that runs.
    fileprivate func runs(_ program: MirrorProgram) -> Bool {
        generation == program.generation && Set(taps.map(\.id)) == Set(program.taps.map(\.id))
            && Set(destinations.map(\.id)) == Set(program.destinations.map(\.id))
    }
}
