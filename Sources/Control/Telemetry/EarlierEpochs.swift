// Counters that only grow, though every dataplane counts from 0: what an ended one had counted is added to what its
// successor says. Before: the dataplane's `stats`. After: Telemetry, which shows the sums.

import MirrorProgram

/// What dataplanes that have ended counted, as far as they were asked: their last second is not in it.
struct EarlierEpochs: Hashable, Sendable {
    private var taps: [String: TapStatistics] = [:]
    private var destinations: [String: DestinationStatistics] = [:]
    private var deliveries: [String: DeliveryStatistics] = [:]
    private var strays: [String: UInt64] = [:]

    /// Takes over the sums that were shown before another dataplane began to count.
    mutating func end(with sums: DataplaneStatistics) {
        taps = Dictionary(sums.taps.map { ($0.id, $0) }) { first, _ in first }
        destinations = Dictionary(sums.destinations.map { ($0.id, $0) }) { first, _ in first }
        deliveries = Dictionary(sums.deliveries.map { ($0.id, $0) }) { first, _ in first }
        strays = sums.strays
    }

    func added(to now: DataplaneStatistics) -> DataplaneStatistics {
        var sums = now
        sums.taps = now.taps.map { tap in
            guard let earlier = taps[tap.id] else { return tap }
            return TapStatistics(
                id: tap.id, frames: earlier.frames + tap.frames, bytes: earlier.bytes + tap.bytes,
                truncated: earlier.truncated + tap.truncated,
                drops: earlier.drops.merging(tap.drops, uniquingKeysWith: +))
        }
        sums.destinations = now.destinations.map { destination in
            guard let earlier = destinations[destination.id] else { return destination }
            return DestinationStatistics(
                id: destination.id, offered: earlier.offered + destination.offered,
                frames: earlier.frames + destination.frames, bytes: earlier.bytes + destination.bytes,
                truncated: earlier.truncated + destination.truncated,
                drops: earlier.drops.merging(destination.drops, uniquingKeysWith: +))
        }
        sums.deliveries = now.deliveries.map { delivery in
            guard let earlier = deliveries[delivery.id] else { return delivery }
            let gaps = delivery.gaps.map { $0 + (earlier.gaps ?? 0) } ?? earlier.gaps
            return DeliveryStatistics(
                id: delivery.id, frames: earlier.frames + delivery.frames, bytes: earlier.bytes + delivery.bytes,
                drops: earlier.drops.merging(delivery.drops, uniquingKeysWith: +), gaps: gaps)
        }
        sums.strays = strays.merging(now.strays, uniquingKeysWith: +)
        return sums
    }
}
