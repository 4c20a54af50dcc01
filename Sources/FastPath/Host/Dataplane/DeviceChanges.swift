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
    /// Names of the interfaces whose `rxvlan` we have turned off.
    private var changed: [InterfacePlace: String] = [:]
    /// Those that were looked at while they are captured, changed or not, since `lookAgain`.
    private var seen: Set<InterfacePlace> = []
    /// With whoever turns it on again.
    private var patience: [InterfacePlace: Patience] = [:]
    /// Why tags are missing in the copies of an interface.
    private var failures: [InterfacePlace: String] = [:]

    /// - Parameter directory: nil to keep no journal.
    package init(_ directory: StateDirectory?, _ logger: Logger) {
        self.directory = directory
        self.logger = logger
        guard let directory else { return }
        do {
            guard let bytes = try directory.lastDeviceChanges() else { return }
            let saved = try JSONDecoder().decode([String: String].self, from: Data(bytes))
            // Of the same name and index: otherwise it is another interface, or none.
            for (text, name) in saved {
                guard let place = InterfacePlace(journal: text) else { continue }
                let now = try? within(place.namespace) { interfaceName(place.index) }
                if now == name { changed[place] = name }
            }
        } catch {
            logger.error("settings of interfaces that the last run has changed stay so: \(error)")
        }
    }

    /// Turns `rxvlan` off on these interfaces where it is on, and on again on those that are no longer among them.
    ///
    /// - Parameter wanted: with their names.
    package func keepTags(in wanted: [InterfacePlace: String]) {
        for place in changed.keys where wanted[place] == nil { putBack(place) }
        seen.formIntersection(wanted.keys)
        failures = failures.filter { wanted[$0.key] != nil }
        patience = patience.filter { wanted[$0.key] != nil }
        for (place, name) in wanted where seen.insert(place).inserted { turnOff(place, name) }
    }

    /// Once a second: somebody may have turned it on since.
    package func lookAgain() { seen = [] }

    private func turnOff(_ place: InterfacePlace, _ name: String) {
        let isNew = changed[place] == nil
        do throws(HostError) {
            let takesOut = try within(place.namespace) { () throws(HostError) in try Ethtool.takesTagsOut(name) }
            if !takesOut {
                failures[place] = nil
                return
            }
            if !isNew || failures[place] != nil, !patience[place, default: Patience()].isOver() {
                failures[place] =
                    failures[place] ?? "rxvlan of \(name) is turned on again and again: copies may lack VLAN tags"
                return
            }
            if isNew { changed[place] = name }
            try save()
            try within(place.namespace) { () throws(HostError) in try Ethtool.setTakesTagsOut(name, false) }
            failures[place] = nil
            logger.notice("\(name)\(place.words): rxvlan is off while its frames are captured in the driver")
        } catch {
            let failure = "\(error): copies may lack VLAN tags"
            if failures[place] != failure { logger.warning("\(name): \(failure)") }
            failures[place] = failure
            if !isNew { return }
            changed[place] = nil
            try? save()
        }
    }

    /// Interfaces that have ended took their settings with them.
    package func letGo(of ended: Set<Int32>) {
        seen = seen.filter { !$0.isAmong(ended) }
        if changed.keys.allSatisfy({ !$0.isAmong(ended) }) { return }
        changed = changed.filter { !$0.key.isAmong(ended) }
        try? save()
    }

    /// In words, as `rxvlan off`.
    package func words(_ interface: InterfacePlace) -> [String] { changed[interface] == nil ? [] : ["rxvlan off"] }

    /// Why copies of this interface may not be whole.
    package func failure(_ interface: InterfacePlace) -> String? { failures[interface] }

    private func putBack(_ place: InterfacePlace) {
        changed[place] = nil
        // It went with its namespace, unless a NIC came back out of that.
        if place.namespace?.isThere == false {
            try? save()
            return
        }
        do throws(HostError) {
            // It may be called otherwise by now.
            let name = try within(place.namespace) { () throws(HostError) in
                let name = interfaceName(place.index)
                if let name { try Ethtool.setTakesTagsOut(name, true) }
                return name
            }
            try save()
            if let name { logger.notice("\(name)\(place.words): rxvlan is on again") }
        } catch {
            logger.error("\(error): turn it on by hand\(place.words) (ethtool -K NAME rxvlan on)")
        }
    }

    private func save() throws(HostError) {
        guard let directory else { return }
        let text = Dictionary(uniqueKeysWithValues: changed.map { ($0.key.journal, $0.value) })
        guard let bytes = try? JSONEncoder().encode(text) else { return }
        try directory.save(deviceChanges: Array(bytes))
    }
}

extension InterfacePlace {
    /// An index; of another namespace, its inode and its name behind it.
    fileprivate var journal: String { "\(index)" + (namespace.map { " \($0.inode) \($0.name)" } ?? "") }

    fileprivate init?(journal: String) {
        let words = journal.split(separator: " ", maxSplits: 2)
        guard let index = words.first.flatMap({ Int32($0) }) else { return nil }
        if words.count == 1 {
            self.init(index)
            return
        }
        guard words.count == 3, let inode = UInt64(words[1]) else { return nil }
        self.init(index, in: NetworkNamespace(name: String(words[2]), inode: inode))
    }

    /// Where it is, if not here.
    fileprivate var words: String { namespace.map { " in network namespace '\($0.name)'" } ?? "" }
}
