// Intents to test with.

import ControlModel
import ControlStore
import MirrorProgram

enum Sample {
    static func port(
        _ id: String, host: String = "here", interface: String? = nil, capture: MirrorProgram.CaptureMode? = nil,
        up: Bool = true, status: String = "DOWN"
    ) -> Port {
        var values: JSON.Object = [
            "id": .string(id), "name": "", "tenant_id": "admin", "mac_address": "fa:16:3e:00:00:01",
            "admin_state_up": .bool(up), "status": .string(status), "status_reason": nil,
            "binding:host_id": .string(host),
        ]
        values["binding:profile"] = .object(Port.Profile(interface: interface, capture: capture).values)
        return try! Port(values)
    }

    static func service(
        _ id: String, port: String, tunnelID: Int64 = 5001, status: String = "DOWN", reason: String? = nil
    ) -> TapService {
        try! TapService([
            "id": .string(id), "tenant_id": "admin", "name": "", "description": "", "port_id": .string(port),
            "status": .string(status), "status_reason": .optional(reason), "tunnel_id": .integer(tunnelID),
            "encapsulation": "vxlan",
        ])
    }

    static func flow(
        _ id: String, service: String, port: String, direction: String = "BOTH", status: String = "DOWN"
    ) -> TapFlow {
        try! TapFlow([
            "id": .string(id), "tenant_id": "admin", "tap_service_id": .string(service), "name": "", "description": "",
            "source_port": .string(port), "direction": .string(direction), "status": .string(status),
            "status_reason": nil, "vlan_filter": nil,
        ])
    }

    static func mirror(
        _ id: String, port: String, _ directions: JSON.Object, type: String = "gre", remote: String = "192.0.2.50"
    ) -> TapMirror {
        try! TapMirror([
            "id": .string(id), "tenant_id": "admin", "name": "", "description": "", "port_id": .string(port),
            "directions": .object(directions), "remote_ip": .string(remote), "mirror_type": .string(type),
            "status": "DOWN",
        ])
    }

    static let hosts = [
        Host(id: "h1", name: "here", tunnelAddresses: [.init("192.0.2.1")!], isHeliostat: true),
        Host(id: "h2", name: "ids", tunnelAddresses: [.init("192.0.2.9")!], isHeliostat: false),
        Host(id: "h3", name: "there", tunnelAddresses: [.init("192.0.2.2")!], isHeliostat: true),
        Host(id: "h4", name: "bare", tunnelAddresses: [], isHeliostat: false),
        Host(id: "h5", name: "mirror", tunnelAddresses: [.init("192.0.2.1")!], isHeliostat: false),
    ]

    static func snapshot(
        ports: [Port] = [], services: [TapService] = [], flows: [TapFlow] = [], mirrors: [TapMirror] = []
    ) -> Snapshot {
        var snapshot = Snapshot(revision: 7)
        snapshot.hosts = hosts.map { Versioned($0, revision: 1) }
        snapshot.ports = ports.map { Versioned($0, revision: 2) }
        snapshot.tapServices = services.map { Versioned($0, revision: 3) }
        snapshot.tapFlows = flows.map { Versioned($0, revision: 4) }
        snapshot.tapMirrors = mirrors.map { Versioned($0, revision: 5) }
        return snapshot
    }
}
