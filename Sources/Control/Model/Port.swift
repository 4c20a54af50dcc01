// A port of the standalone inventory: what a tap flow copies from and a tap service delivers to.
// Which host has it, and as which kernel interface, is its binding: the administrator's to write and read.

package import MirrorProgram

/// A port: an owner's end of a link.
package struct Port: Resource {
    package var id: String
    package var projectID: String
    package var name: String
    package var description: String
    /// Empty while the port is on no network.
    package var networkID: String
    package var macAddress: String
    package var isAdministrativelyUp: Bool
    package var status: Status
    package var statusReason: Reason?
    /// Name of the host that has the port; empty while unbound.
    package var hostName: String
    package var profile: Profile
    package var vnicType: String
    package var deviceID: String
    package var deviceOwner: String
    package var createdAt: String
    package var updatedAt: String
    package var revisionNumber: Int64

    /// What upstream takes as `binding:vnic_type`; here it is kept and shown, and the profile says what is captured.
    package static let vnicTypes = [
        "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
        "accelerator-direct", "accelerator-direct-physical", "remote-managed",
    ]

    /// `binding:profile`: which interface of its host the port is, and how it is captured there.
    package struct Profile: Hashable, Sendable {
        package var interface: String?
        /// Network namespace of the interface on its host; nil for the dataplane's own.
        package var netns: String?
        package var capture: MirrorProgram.CaptureMode?
        /// Nil for the mode's usual one.
        package var capturePolicy: MirrorProgram.CapturePolicy?
        package var side: MirrorProgram.Side?
        /// Captured only while the interface has this MAC address.
        package var mac: MACAddress?

        package init(
            interface: String? = nil, netns: String? = nil, capture: MirrorProgram.CaptureMode? = nil,
            capturePolicy: MirrorProgram.CapturePolicy? = nil, side: MirrorProgram.Side? = nil, mac: MACAddress? = nil
        ) {
            self.interface = interface
            self.netns = netns
            self.capture = capture
            self.capturePolicy = capturePolicy
            self.side = side
            self.mac = mac
        }
    }

    package static let kind = Kind.port
    package static let table = AttributeTable([
        .server("id"),
        Attribute("name", .string(atMost: 255), .optional(""), isUpdatable: true),
        Attribute("network_id", .uuid, .optional("")),
        .project,
        Attribute("mac_address", .mac.orNone, .optional(.null)),
        Attribute("admin_state_up", .boolean, .optional(true), isUpdatable: true),
        .server("status", .status),
        .server("status_reason", .string.orNone, isAdministratorsToRead: true),
        Attribute(
            "binding:host_id", .string(atMost: 255).orNone, .optional(.null), isUpdatable: true,
            isAdministratorsToWrite: true, isAdministratorsToRead: true),
        Attribute(
            "binding:profile", .bindingProfile, .optional([:]), isUpdatable: true, isAdministratorsToWrite: true,
            isAdministratorsToRead: true),
        Attribute("binding:vnic_type", .values(vnicTypes), .optional("normal"), isUpdatable: true),
        Attribute("device_id", .string(atMost: 255), .optional(""), isUpdatable: true),
        Attribute("device_owner", .string(atMost: 255), .optional(""), isUpdatable: true),
        Attribute("fixed_ips", .emptyList, .optional([]), isUpdatable: true),
        Attribute("security_groups", .emptyList, .optional([]), isUpdatable: true),
        Attribute("port_security_enabled", .off, .optional(false), isUpdatable: true),
        Attribute("description", .string(atMost: 255), .optional(""), isUpdatable: true),
        .server("tags", .emptyList),
        .server("created_at"),
        .server("updated_at"),
        .revision,
    ])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        name = try values.text("name")
        projectID = try values.text("tenant_id")
        macAddress = try values.text("mac_address")
        isAdministrativelyUp = try values.flag("admin_state_up")
        status = try values.word("status", Status.self)
        statusReason = Reason(values["status_reason"])
        hostName = values["binding:host_id"]?.string ?? ""
        profile = try Profile(values["binding:profile"]?.object ?? [:])
        // Rows of earlier versions have no more than what is above.
        networkID = values["network_id"]?.string ?? ""
        description = values["description"]?.string ?? ""
        vnicType = values["binding:vnic_type"]?.string ?? "normal"
        deviceID = values["device_id"]?.string ?? ""
        deviceOwner = values["device_owner"]?.string ?? ""
        createdAt = values["created_at"]?.string ?? ""
        updatedAt = values["updated_at"]?.string ?? ""
        revisionNumber = values.revisionNumber
    }

    package var values: JSON.Object {
        [
            "id": .string(id), "name": .string(name), "network_id": .string(networkID),
            "tenant_id": .string(projectID), "mac_address": .string(macAddress),
            "admin_state_up": .bool(isAdministrativelyUp),
            "status": .string(status.rawValue), "status_reason": statusReason?.json ?? .null,
            "binding:host_id": .string(hostName), "binding:profile": .object(profile.values),
            "binding:vnic_type": .string(vnicType), "device_id": .string(deviceID),
            "device_owner": .string(deviceOwner), "fixed_ips": [], "security_groups": [],
            "port_security_enabled": false, "description": .string(description), "tags": [],
            "created_at": .string(createdAt), "updated_at": .string(updatedAt),
            "revision_number": .integer(revisionNumber),
        ]
    }
}

extension Port.Profile {
    /// Reads what `bindingProfile` let through.
    package init(_ values: JSON.Object) throws(JSONError) {
        if values["interface"] != nil { interface = try values.text("interface") }
        if values["netns"] != nil { netns = try values.text("netns") }
        if values["capture"] != nil { capture = try values.word("capture", MirrorProgram.CaptureMode.self) }
        if values["capture_policy"] != nil {
            capturePolicy = try values.word("capture_policy", MirrorProgram.CapturePolicy.self)
        }
        if values["side"] != nil { side = try values.word("side", MirrorProgram.Side.self) }
        mac = values["mac"]?.string.flatMap { MACAddress($0) }
    }

    package var values: JSON.Object {
        var values = JSON.Object()
        values["interface"] = interface.map(JSON.string)
        values["netns"] = netns.map(JSON.string)
        values["capture"] = (capture?.rawValue).map(JSON.string)
        values["capture_policy"] = (capturePolicy?.rawValue).map(JSON.string)
        values["side"] = (side?.rawValue).map(JSON.string)
        values["mac"] = (mac?.description).map(JSON.string)
        return values
    }
}

extension Validator {
    /// What can only be off: there is nothing here that would do it.
    package static let off = Validator(["type": "boolean", "const": false]) { value throws(Refusal) in
        if try boolean.check(value) == false { return false }
        throw Refusal("'\(value.pythonText)' is not offered; send false, or leave it out")
    }

    /// `binding:profile`: an object with `interface` and, if wanted, `netns`, `capture`, `capture_policy`, `side` and `mac`; null for none.
    package static let bindingProfile = Validator(
        profile.schema, shown: profile.shown
    ) { value throws(Refusal) in
        guard let sent = value == .null ? [:] : value.object else {
            throw Refusal("'\(value.pythonText)' is not a dictionary")
        }
        var result = JSON.Object()
        for member in try profile.check(.object(sent)).object!.members where member.value != .null {
            result.append(member.name, member.value)
        }
        return .object(result)
    }

    private static let profile = object([
        ("interface", .interfaceName.orNone, .null), ("netns", .networkNamespace.orNone, .null),
        ("capture", .values(MirrorProgram.CaptureMode.allCases.map(\.rawValue)).orNone, .null),
        ("capture_policy", .values(MirrorProgram.CapturePolicy.allCases.map(\.rawValue)).orNone, .null),
        ("side", .values(MirrorProgram.Side.allCases.map(\.rawValue)).orNone, .null), ("mac", .mac.orNone, .null),
    ])

    /// What Linux takes as the name of an interface, and is not one of our own.
    package static let interfaceName = Validator(
        ["type": "string", "pattern": "^[a-g][a-z0-9]{0,14}$"], shown: ["type": "string"]
    ) { value throws(Refusal) in
        guard let name = value.string else { throw Refusal("'\(value.pythonText)' is not a valid string") }
        do throws(ProgramError) {
            try MirrorProgram(ports: [.init(id: "binding:profile", interface: name)]).validate()
        } catch { throw Refusal(error.description) }
        return value
    }

    /// A network namespace as ports of a program name it.
    package static let networkNamespace = Validator(
        ["type": "string", "pattern": "^[a-z][a-z0-9]{0,63}$"], shown: ["type": "string"]
    ) { value throws(Refusal) in
        guard let name = value.string else { throw Refusal("'\(value.pythonText)' is not a valid string") }
        do throws(ProgramError) {
            try MirrorProgram(ports: [.init(id: "binding:profile", interface: "a", netns: name)]).validate()
        } catch { throw Refusal(error.description) }
        return value
    }
}
