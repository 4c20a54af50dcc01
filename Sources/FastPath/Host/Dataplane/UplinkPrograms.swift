// XDP programs that only pass, on dedicated uplinks: some drivers send without copying beside an XDP program alone (igb; ixgbe,
// i40e, ice and mlx5 by their source). Before it: XSKSocket.swift has found a driver so. After it: PassProgram.swift, and
// UplinkRules.swift, which tells what came of it.

import Logging
import MirrorProgram

/// The passing programs, and why there is none where one was wanted.
struct UplinkPrograms {
    /// By interface, as all here.
    var running: [Int32: PassProgram] = [:]
    /// When its uplink was last in use, or might have been.
    var lastUse: [Int32: ContinuousClock.Instant] = [:]
    /// Why none is put there, as long as that is so.
    var obstacles: [Int32: String] = [:]
    /// What came of the last attempt. Where a program was there and did not help it is not put there again before the MTU
    /// is another: it takes the link of many NICs down for seconds.
    var failures: [Int32: (reason: String, mtu: Int?)] = [:]

    /// In words, for the status; nil where none was wanted.
    func reason(_ interface: Int32) -> String? { obstacles[interface] ?? failures[interface]?.reason }

    /// Interfaces that something is known of.
    var interfaces: Set<Int32> { Set(running.keys).union(obstacles.keys).union(failures.keys) }

    mutating func letGo(of ended: Set<Int32>) {
        for interface in ended { forget(interface) }
    }

    mutating func forget(_ interface: Int32) {
        (running[interface], lastUse[interface], obstacles[interface], failures[interface]) = (nil, nil, nil, nil)
    }
}

extension Dataplane {
    /// Puts a passing program on an uplink's interface, if nothing speaks against it.
    ///
    /// - Returns: whether there is one now that was not there before.
    func putProgram(on link: Link) -> Bool {
        if uplinkPrograms.running[link.index] != nil { return false }
        if let failed = uplinkPrograms.failures[link.index], failed.mtu == link.mtu { return false }
        uplinkPrograms.failures[link.index] = nil
        uplinkPrograms.obstacles[link.index] = obstacleToProgram(on: link)
        if uplinkPrograms.obstacles[link.index] != nil { return false }
        do throws(HostError) {
            uplinkPrograms.running[link.index] = try PassProgram(interface: link.index, name: link.name)
            uplinkPrograms.lastUse[link.index] = .now
            logger.notice(
                "\(link.name) has an XDP program that lets everything pass: its driver sends without copying beside one only"
            )
            return true
        } catch {
            uplinkPrograms.failures[link.index] = (error.description, nil)
            return false
        }
    }

    /// Takes a program off that was put there for nothing.
    func withdrawProgram(from link: Link) {
        uplinkPrograms.running[link.index] = nil
        uplinkPrograms.failures[link.index] = (
            "beside an XDP program of ours, which is gone again, it does not either", link.mtu
        )
        logger.notice("\(link.name): the XDP program has not helped and is gone again")
    }

    private func obstacleToProgram(on link: Link) -> String? {
        let steered = (placesInDriver + pairs.keys.joined()).filter { $0.namespace == nil }.map(\.index)
        return PassPlan.obstacle(
            link, claimed: interfacesOfPorts.subtracting(steered), defaultRoutes: kernel.defaultRoutes())
    }

    /// Interfaces whose place for an XDP program is a port's.
    private var interfacesOfPorts: Set<Int32> {
        let plans = ports.filter { $0.namespace == nil && $0.mode != .tap }
        return Set(plans.flatMap { [$0.link, $0.pair].compactMap { $0?.index } })
    }

    /// Takes off what gives way to a port's program, before that is put there.
    func makeWayForPorts() {
        let claimed = interfacesOfPorts
        for index in uplinkPrograms.running.keys where claimed.contains(index) { uplinkPrograms.forget(index) }
    }

    /// Takes off what no dedicated uplink needs any more, once the sockets are closed.
    func takeOffPrograms() {
        let now = ContinuousClock.now
        let links = routes.values.map { $0.link?.index }
        for index in uplinkPrograms.interfaces {
            guard let link = kernel.links[index], rule(of: link.name).dedicated else {
                uplinkPrograms.forget(index)
                continue
            }
            let isUsed = openInterfaces.contains(index) || links.contains(index) || links.contains(nil)
            if isUsed || !link.carries || uplinkPrograms.running[index] == nil { uplinkPrograms.lastUse[index] = now }
            if uplinkPrograms.lastUse[index, default: now].duration(to: now) > PassPlan.grace {
                uplinkPrograms.forget(index)
            }
        }
    }

    /// Once a second: opens uplinks anew that do not send any more since somebody's program has gone, and those that may have a
    /// program now.
    func inspectUplinks() {
        for (index, program) in uplinkPrograms.running where !program.isInPlace { uplinkPrograms.running[index] = nil }
        for index in openInterfaces {
            guard let link = kernel.links[index], rule(of: link.name).dedicated else { continue }
            let refuses = workers.contains { $0.uplinks[index]?.refusesToSend == true }
            let isFree = uplinkPrograms.obstacles[index] != nil && obstacleToProgram(on: link) == nil
            if !refuses && !isFree { continue }
            logger.notice(
                "\(link.name): \(refuses ? "the driver does not send any more" : "there may be an XDP program now"); opening it anew"
            )
            uplinkPrograms.obstacles[index] = nil
            leave(uplink: index)
        }
    }
}

/// Pure: where a passing program may be.
package enum PassPlan {
    /// Longest time without use: where the link went down with the program its routes may take a while to come back.
    static let grace = Duration.seconds(10)

    /// Why an uplink gets none; nil if it may have one.
    ///
    /// - Parameters:
    ///   - claimed: interfaces whose place for an XDP program is kept for a port.
    ///   - defaultRoutes: interfaces that one runs through.
    package static func obstacle(_ link: Link, claimed: Set<Int32>, defaultRoutes: Set<Int32>) -> String? {
        if claimed.contains(link.index) { return "its place is kept for the XDP program of a port on \(link.name)" }
        return link.harmOfXDP(defaultRoutes)
    }
}
