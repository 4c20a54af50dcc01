// Everything that is counted, for Prometheus. Labels name only what there is: taps, destinations, ports and deliveries
// of the running program, the reasons of DropReason. Before: Telemetry. After: GET /metrics.

import ControlModel
import MirrorProgram

extension Telemetry {
    /// The whole page, in Prometheus text format 0.0.4.
    package func metricsDocument() -> String {
        var text = Exposition()
        let (observation, values) = (observation, counters.values)
        text.family("build_info", .gauge, "Version of this control process; always 1.")
        text.sample(1, [("version", heliostatVersion)])
        process(values, &text)
        dataplane(observation, values, &text)
        if let statistics = observation.statistics {
            taps(statistics, &text)
            destinations(statistics, &text)
            deliveries(statistics, &text)
            text.family("stray_dropped_frames_total", .counter, "Drops that belong to no tap, by reason.")
            for reason in DropReason.allCases {
                text.sample(statistics.strays[reason.name] ?? 0, [("reason", reason.name)])
            }
            umem(statistics.umem, &text)
        }
        return text.text
    }

    private func process(_ values: ProcessCounters.Values, _ text: inout Exposition) {
        text.family("http_requests_total", .counter, "Requests answered, by method and status.")
        let requests = values.requests.sorted { ($0.key.method, $0.key.status) < ($1.key.method, $1.key.status) }
        for (request, count) in requests {
            text.sample(count, [("method", request.method), ("status", String(request.status))])
        }
        text.family("http_request_duration_seconds", .histogram, "From a request's head to its answer's.")
        text.histogram(values.durations)
        text.family("http_requests_in_flight", .gauge, "Requests that are being answered.")
        text.sample(values.inFlight)
        text.family("http_requests_refused_total", .counter, "Requests refused with 503: too many were in flight.")
        text.sample(values.refused)
        text.family("store_commit_duration_seconds", .histogram, "One transaction of commits, its wait and its fsync.")
        text.histogram(values.commits)
        text.family("store_commits_total", .counter, "Commits by what became of them.")
        text.sample(values.committed, [("outcome", "written")])
        text.sample(values.conflicts, [("outcome", "conflict")])
        text.sample(values.failed, [("outcome", "failed")])
    }

    private func dataplane(
        _ observation: Observation, _ values: ProcessCounters.Values, _ text: inout Exposition
    ) {
        text.family("dataplane_connected", .gauge, "Whether the dataplane answers.")
        text.sample(observation.isConnected ? 1 : 0)
        if let generation = values.desiredGeneration {
            text.family("program_desired_generation", .gauge, "Generation of the program that is to run.")
            text.sample(generation)
        }
        if let generation = observation.status?.generation {
            text.family("program_applied_generation", .gauge, "Generation of the program that runs.")
            text.sample(generation)
        }
        if let time = observation.statisticsTime {
            text.family("statistics_timestamp_seconds", .gauge, "When the dataplane's counters were last read.")
            text.sample(time)
        }
        guard let status = observation.status else { return }
        text.family("dataplane_info", .gauge, "Version of the dataplane, and what it counts from; always 1.")
        text.sample(1, [("version", status.version), ("epoch", status.epoch)])
        text.family("port_up", .gauge, "Whether the port is captured.")
        for port in status.ports {
            text.sample(port.state == .down ? 0 : 1, [("port", port.id), ("interface", port.interface)])
        }
        text.family("destination_ready", .gauge, "Whether copies can be sent to the destination now.")
        for destination in status.destinations {
            text.sample(destination.state == .ready ? 1 : 0, [("destination", destination.id)])
        }
    }

    private func taps(_ statistics: DataplaneStatistics, _ text: inout Exposition) {
        let taps = statistics.taps
        func counter(_ name: String, _ help: String, _ value: (TapStatistics) -> UInt64) {
            text.family(name, .counter, help)
            for tap in taps { text.sample(value(tap), [("tap", tap.id)]) }
        }
        counter("tap_frames_total", "Copies of the tap that were handed to an uplink.") { $0.frames }
        counter("tap_bytes_total", "Inner bytes of those copies.") { $0.bytes }
        counter("tap_truncated_frames_total", "Of those copies, the ones cut to the path MTU.") { $0.truncated }
        text.family("tap_dropped_frames_total", .counter, "Copies of the tap that did not leave, by reason.")
        for tap in taps {
            for reason in DropReason.allCases {
                text.sample(tap.drops[reason.name] ?? 0, [("tap", tap.id), ("reason", reason.name)])
            }
        }
    }

    private func destinations(_ statistics: DataplaneStatistics, _ text: inout Exposition) {
        let all = statistics.destinations
        func counter(_ name: String, _ help: String, _ value: (DestinationStatistics) -> UInt64) {
            text.family(name, .counter, help)
            for destination in all { text.sample(value(destination), [("destination", destination.id)]) }
        }
        counter("destination_offered_frames_total", "Copies that taps selected for the destination.") { $0.offered }
        counter("destination_frames_total", "Copies that were handed to the uplink.") { $0.frames }
        counter("destination_bytes_total", "Inner bytes of those copies.") { $0.bytes }
        counter("destination_truncated_frames_total", "Of those copies, the ones cut to the path MTU.") { $0.truncated }
        text.family("destination_dropped_frames_total", .counter, "Copies that did not leave, by reason.")
        for destination in all {
            for reason in DropReason.allCases {
                text.sample(
                    destination.drops[reason.name] ?? 0, [("destination", destination.id), ("reason", reason.name)])
            }
        }
    }

    private func deliveries(_ statistics: DataplaneStatistics, _ text: inout Exposition) {
        let all = statistics.deliveries
        text.family("delivery_frames_total", .counter, "Copies from other hosts handed to the delivery's port.")
        for delivery in all { text.sample(delivery.frames, [("delivery", delivery.id)]) }
        text.family("delivery_bytes_total", .counter, "Bytes of those copies.")
        for delivery in all { text.sample(delivery.bytes, [("delivery", delivery.id)]) }
        text.family("delivery_dropped_frames_total", .counter, "Peers' packets that were not delivered, by reason.")
        for delivery in all {
            for reason in DeliveryStatistics.Drop.allCases {
                text.sample(
                    delivery.drops[reason.rawValue] ?? 0, [("delivery", delivery.id), ("reason", reason.rawValue)])
            }
        }
        text.family("delivery_sequence_gaps_total", .counter, "Sequence numbers that the peers' packets skipped.")
        for delivery in all { if let gaps = delivery.gaps { text.sample(gaps, [("delivery", delivery.id)]) } }
    }

    private func umem(_ umem: UMEMStatistics, _ text: inout Exposition) {
        text.family("umem_chunks", .gauge, "UMEM chunks, by where they are.")
        for (place, count) in [
            ("free", umem.free), ("fill", umem.fill), ("receive", umem.receive), ("transmit", umem.transmit),
        ] {
            text.sample(count, [("place", place)])
        }
    }
}
