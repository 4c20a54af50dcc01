// Watches of a running dataplane. A watch changes the worker's table and nothing else: no generation, nothing in the kernel,
// nothing on disk. Before it: ControlService. After it: Generation.select, and Reconcile.swift, which publishes.

import FastPath
import Logging
import MirrorProgram

extension Dataplane {
    /// Begins to copy what `taps` carry into memory, for whoever takes it.
    ///
    /// - Throws: why not; nothing has changed.
    package func watch(_ taps: [String]) throws(HostError) -> Watch {
        guard let current else { throw HostError("the dataplane runs no program yet; 'heliostat status' says more") }
        var overlay = WatchOverlay(current.program)
        for watch in watches { _ = overlay.add(watch.taps) }
        if let obstacle = overlay.add(Set(taps)) { throw HostError(obstacle) }
        let taken = Set((watches + leavingWatches).map(\.place))
        let numbers = freeNumbers(workers.count)
        guard let place = (0..<Watch.most).first(where: { !taken.contains($0) }), numbers.count == workers.count
        else {
            throw HostError("the worker has not let go of earlier watches; try again")
        }
        self.numbers.formUnion(numbers)
        let watch = Watch(taps: Set(taps), place: place, numbers: numbers)
        watches.append(watch)
        select()
        do throws(HostError) {
            try publish()
        } catch {
            // The worker may hold the table all the same: it leaves as one that was there.
            unwatch(watch, "the worker is busy")
            throw error
        }
        logger.notice("a watch of \(taps.sorted().joined(separator: ", ")) begins")
        return watch
    }

    /// Copies that wait, a bounded number.
    package func take(_ watch: Watch) -> [Watch.Frame] { watch.take(areas) }

    /// Ends a watch; what the worker has copied until then can still be taken.
    package func unwatch(_ watch: Watch, _ reason: String) {
        guard let index = watches.firstIndex(where: { $0 === watch }) else { return }
        watches.remove(at: index)
        leave(watch, reason)
        select()
        do throws(HostError) {
            try publish()
        } catch {
            logger.error("\(error)")
            wake?.schedule(in: .milliseconds(10))
        }
    }

    /// Which watches go on with another program.
    func watches(over program: MirrorProgram) -> [Watch] {
        var overlay = WatchOverlay(program)
        return watches.filter { overlay.add($0.taps) == nil }
    }

    /// Ends those that do not, without publishing.
    func keep(_ kept: [Watch]) {
        for watch in watches where !kept.contains(where: { $0 === watch }) {
            leave(watch, "the dataplane does not run the tap any more, or its port has no room")
        }
        watches = kept
        select()
    }

    private func leave(_ watch: Watch, _ reason: String) {
        watch.finish(reason)
        leavingWatches.append(watch)
        logger.notice("a watch of \(watch.taps.sorted().joined(separator: ", ")) ends: \(reason)")
    }

    private func select() {
        current?.select(watches)
        previous?.select(watches)
    }

    /// Rows of a table, by place.
    func row(of watch: Watch, _ worker: WorkerHost) -> TableShape.Row {
        TableShape.Row(
            id: "watch \(watch.numbers[0])", encapsulation: Watch.header, frameLimit: Watch.frameLimit,
            uplink: watch.numbers[worker.place])
    }
}
