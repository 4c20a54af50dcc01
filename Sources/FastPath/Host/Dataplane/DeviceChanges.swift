// What capture in the driver needs set otherwise on an interface, and what it was before. XDP sees a frame without the VLAN
// tag that the NIC has taken out, so `rxvlan` is off as long as an interface is captured there, and on again afterwards.
// Before it: Reconcile.swift. After it: Ethtool.swift, and StatusReport.swift, which tells.
//
// The journal is written before the change: whatever kills this process, the next one knows what to put back.

import FoundationEssentials
import Glibc
package import Logging

/// Settings of interfaces that are not as they were found.
package final class DeviceChanges {
    private let directory: StateDirectory?
    private let logger: Logger
    /// Names of the interfaces, by index, whose `rxvlan` we have turned off.
    private var changed: [Int32: String] = [:]
    /// Those that were looked at while they are captured, changed or not, since `lookAgain`.
    private var seen: Set<Int32> = []
    /// With whoever turns it on again.
    private var patience: [Int32: Patience] = [:]
    /// Why tags are missing in the copies of an interface.
    private var failures: [Int32: String] = [:]

    /// - Parameter directory: nil to keep no journal.
    package init(_ directory: StateDirectory?, _ logger: Logger) {
        self.directory = directory
        self.logger = logger
        guard let directory else { return }
        do {
            guard let bytes = try directory.lastDeviceChanges() else { return }
            let saved = try JSONDecoder().decode([String: String].self, from: Data(bytes))
            // Of the same name and index: otherwise it is another interface, or none.
            for (index, name) in saved where if_nametoindex(name) == UInt32(index) ?? 0 {
                changed[Int32(index) ?? 0] = name
            }
        } catch {
            logger.error("settings of interfaces that the last run has changed stay so: \(error)")
        }
    }

    /// Turns `rxvlan` off on these interfaces where it is on, and on again on those that are no longer among them.
    ///
    /// - Parameter wanted: names by index.
    package func keepTags(in wanted: [Int32: String]) {
        for index in changed.keys where wanted[index] == nil { putBack(index) }
        seen.formIntersection(wanted.keys)
        failures = failures.filter { wanted[$0.key] != nil }
        patience = patience.filter { wanted[$0.key] != nil }
        for (index, name) in wanted where seen.insert(index).inserted { turnOff(index, name) }
    }

    /// Once a second: somebody may have turned it on since.
    package func lookAgain() { seen = [] }

    private func turnOff(_ index: Int32, _ name: String) {
        let isNew = changed[index] == nil
        do throws(HostError) {
            if try !Ethtool.takesTagsOut(name) {
                failures[index] = nil
                return
            }
            if !isNew || failures[index] != nil, !patience[index, default: Patience()].isOver() {
                failures[index] =
                    failures[index] ?? "rxvlan of \(name) is turned on again and again: copies may lack VLAN tags"
                return
            }
            if isNew { changed[index] = name }
            try save()
            try Ethtool.setTakesTagsOut(name, false)
            failures[index] = nil
            logger.notice("\(name): rxvlan is off while its frames are captured in the driver")
        } catch {
            let failure = "\(error): copies may lack VLAN tags"
            if failures[index] != failure { logger.warning("\(name): \(failure)") }
            failures[index] = failure
            if !isNew { return }
            changed[index] = nil
            try? save()
        }
    }

    /// Interfaces that have ended took their settings with them.
    package func letGo(of ended: Set<Int32>) {
        seen.subtract(ended)
        if changed.keys.allSatisfy({ !ended.contains($0) }) { return }
        changed = changed.filter { !ended.contains($0.key) }
        try? save()
    }

    /// In words, as `rxvlan off`.
    package func words(_ interface: Int32) -> [String] { changed[interface] == nil ? [] : ["rxvlan off"] }

    /// Why copies of this interface may not be whole.
    package func failure(_ interface: Int32) -> String? { failures[interface] }

    private func putBack(_ index: Int32) {
        changed[index] = nil
        // It may be called otherwise by now.
        var room = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        let now = room.withUnsafeMutableBufferPointer { room in
            if_indextoname(UInt32(index), room.baseAddress!).map { String(cString: $0) }
        }
        do throws(HostError) {
            guard let name = now else { return try save() }
            try Ethtool.setTakesTagsOut(name, true)
            try save()
            logger.notice("\(name): rxvlan is on again")
        } catch {
            logger.error("\(error): turn it on by hand (ethtool -K \(now ?? "NAME") rxvlan on)")
        }
    }

    private func save() throws(HostError) {
        guard let directory else { return }
        let text = Dictionary(uniqueKeysWithValues: changed.map { (String($0.key), $0.value) })
        guard let bytes = try? JSONEncoder().encode(text) else { return }
        try directory.save(deviceChanges: Array(bytes))
    }
}
