// Everything that the API can answer instead of success, with upstream's types and texts to the letter
// (neutron_lib.exceptions, neutron_lib.api.attributes). Thrown by Model, Identity and API; written by API/Reply.swift.

/// A refusal as the client sees it.
package struct Fault: Error, Hashable, Sendable {
    /// HTTP status, 400 ... 599.
    package let status: Int
    /// Name of upstream's exception class.
    package let type: String
    package let message: String

    package init(_ status: Int, _ type: String, _ message: String) {
        self.status = status
        self.type = type
        self.message = message
    }

    package static func badRequest(_ message: String) -> Fault { Fault(400, "HTTPBadRequest", message) }

    // The request as a whole.
    package static let bodyRequired = badRequest("Resource body required")
    package static let bodyInvalid = badRequest("Body contains invalid data")
    package static let bulkNotSupported = badRequest("Bulk operation not supported")
    package static let resourcesRequired = badRequest("Resources required")
    package static let malformedBody = Fault(
        400, "MalformedRequestBody", "Malformed request body: Cannot understand JSON.")
    package static let bodyIncomplete = Fault(
        400, "MalformedRequestBody", "Malformed request body: it could not be read to its end.")
    package static func tooManyObjects(_ count: Int, limit: Int) -> Fault {
        badRequest("\(count) objects in one request; send at most \(limit), and the others in further requests.")
    }
    package static let emptyUpdate = Fault(400, "BadRequest", "Bad body request: Invalid format: b''.")
    package static let notFound = Fault(404, "HTTPNotFound", "The resource could not be found.")
    package static let methodNotAllowed = Fault(
        405, "HTTPMethodNotAllowed",
        "The server could not comply with the request since it is either malformed or otherwise incorrect.")
    package static let bodyTooLarge = Fault(413, "HTTPRequestEntityTooLarge", "The body is larger than 1 MiB.")
    package static func bodyNotJSON(_ type: String) -> Fault {
        Fault(
            415, "HTTPUnsupportedMediaType",
            "A body of type '\(type)' is not taken; send JSON, with Content-Type: application/json.")
    }
    /// A path under another version of the API; shown in the shape of Neutron's root and not in Neutron's own.
    package static let versionNotFound = Fault(404, "Not Found", "")
    /// Shown in Keystone's shape and not in Neutron's.
    package static let unauthorized = Fault(
        401, "Unauthorized", "The request you have made requires authentication.")
    package static func objectNotFound(_ name: String) -> Fault {
        badRequest("Unable to find '\(name)' in request body")
    }
    package static func objectInvalid(_ name: String) -> Fault {
        badRequest("Object '\(name)' contains invalid data")
    }

    // Attributes.
    package static func required(_ attribute: String) -> Fault {
        badRequest("Failed to parse request. Required attribute '\(attribute)' not specified")
    }
    package static func invalid(_ attribute: String, _ reason: String) -> Fault {
        badRequest("Invalid input for \(attribute). Reason: \(reason).")
    }
    package static func unrecognized(_ attributes: [String]) -> Fault {
        badRequest("Unrecognized attribute(s) '\(attributes.joined(separator: ", "))'")
    }
    package static func notInPOST(_ attribute: String) -> Fault {
        badRequest("Attribute '\(attribute)' not allowed in POST")
    }
    package static func readOnly(_ attribute: String) -> Fault {
        badRequest("Cannot update read-only attribute \(attribute)")
    }
    package static let projectMismatch = badRequest("'project_id' and 'tenant_id' do not match")
    package static let otherProject = badRequest(
        "Specifying 'project_id' other than the authenticated project in request is not allowed for the current user.")

    // Objects.
    package static func portNotFound(_ id: String) -> Fault {
        Fault(404, "PortNotFound", "Port \(id) could not be found.")
    }
    package static func networkNotFound(_ id: String) -> Fault {
        Fault(404, "NetworkNotFound", "Network \(id) could not be found.")
    }
    package static func networkInUse(_ id: String) -> Fault {
        Fault(
            409, "NetworkInUse",
            "Unable to complete operation on network \(id). There are one or more ports still in use on the network.")
    }
    package static func tunnelConflict(_ id: String) -> Fault {
        Fault(409, "TapMirrorTunnelConflict", "Tap Mirror with tunnel_id \(id) already exists")
    }
    package static func revisionConstraint(_ expected: Int64, current: Int64) -> Fault {
        Fault(
            412, "RevisionNumberConstraintFailed",
            "Constrained to \(expected), but current revision is \(current)")
    }
    package static func ifMatch(_ text: String) -> Fault {
        Fault(400, "BadRequest", "Bad If-Match request: '\(text)' is not revision_number=N.")
    }
    package static let portNotOfTenant = Fault(
        403, "PortDoesNotBelongToTenant", "The specified port does not belong to the tenant")
    package static let serviceNotOfTenant = Fault(
        403, "TapServiceNotBelongToTenant", "Specified Tap Service does not belong to the tenant")
    package static let tunnelIDsExhausted = Fault(
        409, "TapServiceLimitReached", "Reached the maximum quota for Tap Services")
    package static func notAuthorized(_ rule: String) -> Fault {
        Fault(403, "PolicyNotAuthorized", "\(rule) is disallowed by policy")
    }

    // Our own.
    package static func tunnelIDInUse(_ id: Int64) -> Fault {
        Fault(409, "TunnelIdInUse", "Tunnel id \(id) is in use by another tap service; choose another or leave it out.")
    }
    package static func hostNameInUse(_ name: String) -> Fault {
        Fault(409, "HostNameInUse", "A host named '\(name)' exists already; host names are unique.")
    }
    package static func hostInUse(_ name: String, _ why: String) -> Fault {
        Fault(409, "HostInUse", "Host '\(name)' \(why)")
    }
    package static func storeUnavailable(_ reason: String) -> Fault {
        Fault(503, "StoreUnavailable", "Nothing was changed: \(reason)")
    }
    package static func overQuota(_ kind: Kind) -> Fault {
        Fault(409, "OverQuota", "Quota exceeded for resources: ['\(kind.singular)'].")
    }
    package static func quotaNotFound(_ project: String) -> Fault {
        Fault(404, "TenantQuotaNotFound", "Quota for tenant \(project) could not be found.")
    }
    package static let tooManyRequests = Fault(
        503, "ServiceUnavailable", "Too many requests are being answered; nothing was changed, try again.")
    package static let internalError = Fault(
        500, "HTTPInternalServerError", "Request Failed: internal server error while processing your request.")
}
