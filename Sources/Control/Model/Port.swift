// A port of the standalone inventory: what a tap flow copies from and a tap service delivers to.
// Which host has it, and as which kernel interface, is its binding: the administrator's to write and read.

package import MirrorProgram

/// A port: an owner's end of a link.
package struct Port: Resource {
    package var id: String
    package var projectID: String
    package var name: String
    package var macAddress: String
    package var isAdministrativelyUp: Bool
    package var status: Status
    package var statusReason: String?
    /// Name of the host that has the port; empty while unbound.
    package var hostName: String
    package var profile: Profile

    /// `binding:profile`: which interface of its host the port is, and how it is captured there.
    package struct Profile: Hashable, Sendable {
        package var interface: String?
        package var capture: MirrorProgram.CaptureMode?
        package var side: MirrorProgram.Side?
        /// Captured only while the interface has this MAC address.
        package var mac: MACAddress?

        package init(
            interface: String? = nil, capture: MirrorProgram.CaptureMode? = nil, side: MirrorProgram.Side? = nil,
            mac: MACAddress? = nil
        ) {
            self.interface = interface
            self.capture = capture
            self.side = side
            self.mac = mac
        }
    }

    package static let kind = Kind.port
    package static let table = AttributeTable([
        .server("id"),
        Attribute("name", .string(atMost: 255), .optional(""), isUpdatable: true),
        .project,
        Attribute("mac_address", .mac.orNone, .optional(.null)),
        Attribute("admin_state_up", .boolean, .optional(true), isUpdatable: true),
        .server("status"),
        .server("status_reason", isAdministratorsToRead: true),
        Attribute(
            "binding:host_id", .string(atMost: 255).orNone, .optional(.null), isUpdatable: true,
            isAdministratorsToWrite: true, isAdministratorsToRead: true),
        Attribute(
            "binding:profile", .bindingProfile, .optional([:]), isUpdatable: true, isAdministratorsToWrite: true,
            isAdministratorsToRead: true),
    ])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        name = try values.text("name")
        projectID = try values.text("tenant_id")
        macAddress = try values.text("mac_address")
        isAdministrativelyUp = try values.flag("admin_state_up")
        status = try values.word("status", Status.self)
        statusReason = values["status_reason"]?.string
        hostName = values["binding:host_id"]?.string ?? ""
        profile = try Profile(values["binding:profile"]?.object ?? [:])
    }

    package var values: JSON.Object {
        [
            "id": .string(id), "name": .string(name), "tenant_id": .string(projectID),
            "mac_address": .string(macAddress), "admin_state_up": .bool(isAdministrativelyUp),
            "status": .string(status.rawValue), "status_reason": .optional(statusReason),
            "binding:host_id": .string(hostName), "binding:profile": .object(profile.values),
        ]
    }
}

extension Port.Profile {
    /// Reads what `bindingProfile` let through.
    package init(_ values: JSON.Object) throws(JSONError) {
        if values["interface"] != nil { interface = try values.text("interface") }
        if values["capture"] != nil { capture = try values.word("capture", MirrorProgram.CaptureMode.self) }
        if values["side"] != nil { side = try values.word("side", MirrorProgram.Side.self) }
        mac = values["mac"]?.string.flatMap { MACAddress($0) }
    }

    package var values: JSON.Object {
        var values = JSON.Object()
        values["interface"] = interface.map(JSON.string)
        values["capture"] = (capture?.rawValue).map(JSON.string)
        values["side"] = (side?.rawValue).map(JSON.string)
        values["mac"] = (mac?.description).map(JSON.string)
        return values
    }
}

extension Validator {
    /// `binding:profile`: an object with `interface` and, if wanted, `capture`, `side` and `mac`; null for none.
    package static let bindingProfile = Validator { value throws(Refusal) in
        guard let profile = value == .null ? [:] : value.object else {
            throw Refusal("'\(value.pythonText)' is not a dictionary")
        }
        let known: [(String, Validator)] = [
            ("interface", .interfaceName), ("capture", .values(MirrorProgram.CaptureMode.allCases.map(\.rawValue))),
            ("side", .values(MirrorProgram.Side.allCases.map(\.rawValue))), ("mac", .mac),
        ]
        let unknown = profile.members.map(\.name).filter { name in !known.contains { $0.0 == name } }
        if !unknown.isEmpty { throw Refusal("Unexpected keys supplied: \(unknown.joined(separator: ", "))") }
        var result = JSON.Object()
        for (name, validator) in known {
            guard let value = profile[name] else { continue }
            do throws(Refusal) {
                result.append(name, try validator.check(value))
            } catch { throw Refusal("\(name): \(error.reason)") }
        }
        return .object(result)
    }

    /// What Linux takes as the name of an interface, and is not one of our own.
    package static let interfaceName = Validator { value throws(Refusal) in
        guard let name = value.string else { throw Refusal("'\(value.pythonText)' is not a valid string") }
        do throws(ProgramError) {
            try MirrorProgram(ports: [.init(id: "binding:profile", interface: name)]).validate()
        } catch { throw Refusal(error.description) }
        return value
    }
}
