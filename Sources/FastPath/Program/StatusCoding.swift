// Answers of a dataplane that does not know deliveries, uplinks or workers yet: during an upgrade an older one runs beside a newer control
// process, and stays readable. What a newer one adds is passed over, as JSONDecoder does.

extension DataplaneStatus {
    private enum Keys: String, CodingKey {
        case version, pid, epoch, generation, ports, destinations, taps, deliveries, uplinks, workers
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: Keys.self)
        self.init(
            version: try object.decode(String.self, forKey: .version),
            pid: try object.decode(Int32.self, forKey: .pid),
            epoch: try object.decode(String.self, forKey: .epoch),
            generation: try object.decodeIfPresent(UInt64.self, forKey: .generation),
            ports: try object.decode([PortStatus].self, forKey: .ports),
            destinations: try object.decode([DestinationStatus].self, forKey: .destinations),
            taps: try object.decode([TapStatus].self, forKey: .taps),
            deliveries: try object.decodeIfPresent([DeliveryStatus].self, forKey: .deliveries) ?? [],
            uplinks: try object.decodeIfPresent([UplinkStatus].self, forKey: .uplinks) ?? [],
            workers: try object.decodeIfPresent([WorkerStatus].self, forKey: .workers) ?? [])
    }
}

extension DataplaneStatistics {
    private enum Keys: String, CodingKey { case epoch, time, taps, destinations, deliveries, inline, strays, umem }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: Keys.self)
        self.init(
            epoch: try object.decode(String.self, forKey: .epoch),
            time: try object.decode(Double.self, forKey: .time),
            taps: try object.decode([TapStatistics].self, forKey: .taps),
            destinations: try object.decode([DestinationStatistics].self, forKey: .destinations),
            deliveries: try object.decodeIfPresent([DeliveryStatistics].self, forKey: .deliveries) ?? [],
            inline: try object.decodeIfPresent([InlineStatistics].self, forKey: .inline) ?? [],
            strays: try object.decode([String: UInt64].self, forKey: .strays),
            umem: try object.decode(UMEMStatistics.self, forKey: .umem))
    }
}
