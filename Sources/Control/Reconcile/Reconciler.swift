// The loop that makes the dataplane run what the store says: level-triggered, the same turn for a change, a timer, a
// reconnection and a restart. Before: the store's snapshot. After: the dataplane, the statuses in the store, telemetry.

import ControlModel
package import ControlStore
package import ControlTelemetry
import Foundation
package import Logging
import MirrorProgram

/// Reconciles one host.
package actor Reconciler {
    private let store: any Store
    private let host: String
    private let dataplane: DataplaneClient
    private let telemetry: Telemetry
    private let logger: Logger

    /// How long a dataplane may be away before its taps are DOWN: longer than a restart takes.
    private let patience: Duration
    private var lastAnswer = ContinuousClock.now
    private var lastStatistics: ContinuousClock.Instant?
    private var report = ""
    /// Turns left that look again soon, because what was applied is still settling.
    private var settling = 0

    /// - Parameters:
    ///   - host: name of the host that `dataplane` serves.
    ///   - patience: how long the dataplane may be away before its taps are DOWN.
    package init(
        store: any Store, host: String, dataplane: DataplaneClient, telemetry: Telemetry, logger: Logger,
        patience: Duration = .seconds(2)
    ) {
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
                let delay = await turn()
                let timer = Task {
                    do {
                        try await Task.sleep(for: delay)
                        wake.yield()
                    } catch {}
                }
                await waiting.next(isolation: self)
                timer.cancel()
                // A burst of changes is one turn.
                try? await Task.sleep(for: .milliseconds(10))
            }
            group.cancelAll()
        }
    }

    /// One turn: look at everything, apply what differs, write what it came to.
    ///
    /// - Returns: how long to wait for a change before the next turn.
    package func turn() async -> Duration {
        do {
            let snapshot = try await store.snapshot()
            let desired = DesiredState(snapshot, host: host)
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
            report("the store cannot be used; the dataplane runs on: \(error)", .error)
            return .seconds(1)
        }
    }

    // MARK: Application

    private func acknowledgement(of desired: DesiredState) async throws -> Acknowledgement {
        do throws(DataplaneError) {
            let status = try await status(.status)
            lastAnswer = .now
            let program = try await program(for: desired, status)
            if status.runs(program) {
                record(status)
                return .running(status)
            }
            return try await apply(program, status)
        } catch {
            telemetry.record(isConnected: false, reason: error.description, status: nil)
            report("the dataplane is not connected: \(error)", .warning)
            let isRestart = ContinuousClock.now - lastAnswer < patience
            return isRestart ? .unknown : .silent(error.description)
        }
    }

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
            return .refused(reason, before)
        }
        settling = 10
        record(status)
        logger.info(
            "the dataplane runs program \(program.generation)",
            metadata: ["ports": "\(program.ports.count)", "taps": "\(program.taps.count)"])
        return .running(status)
    }

    private func record(_ status: DataplaneStatus) {
        telemetry.record(isConnected: true, reason: nil, status: status)
        report("the dataplane \(status.version) is connected", .info)
    }

    /// The desired program with its generation: the last one's if that was the same, else a larger one than any before,
    /// kept in the store before the dataplane sees it.
    private func program(for desired: DesiredState, _ status: DataplaneStatus) async throws(DataplaneError)
        -> MirrorProgram
    {
        do {
            let key = Key("program", host)
            return try await store.transact { transaction in
                var last: MirrorProgram?
                if let row = try await transaction.row(key) {
                    last = try JSONDecoder().decode(MirrorProgram.self, from: Data(row.value))
                }
                var program = desired.program
                program.generation = last?.generation ?? 0
                if program == last, program.generation > status.generation ?? 0 || status.runs(program) {
                    return program
                }
                program.generation = max(program.generation, status.generation ?? 0) + 1
                transaction.put(key, try JSON(parsing: JSONEncoder().encode(program)))
                return program
            }
        } catch {
            throw DataplaneError("the program cannot be kept: \(error)")
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

extension DataplaneStatus {
    /// Whether this is the program that runs.
    fileprivate func runs(_ program: MirrorProgram) -> Bool {
        generation == program.generation && Set(taps.map(\.id)) == Set(program.taps.map(\.id))
            && Set(destinations.map(\.id)) == Set(program.destinations.map(\.id))
    }
}
