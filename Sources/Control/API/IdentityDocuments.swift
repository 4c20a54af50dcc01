// Keystone's documents: versions, tokens, the catalog, projects (Identity API v3).
// Before: IdentityService. After: Reply.

import ControlIdentity
import ControlModel

enum IdentityDocuments {
    /// - Parameter url: the server's URL as the client wrote it: keystoneauth follows these links.
    static func versions(_ url: String) -> JSON {
        ["versions": ["values": [version(url)]]]
    }

    static func version(_ url: String) -> JSON {
        [
            "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
            "links": [["rel": "self", "href": .string(url + "/identity/v3/")]],
            "media-types": [["base": "application/json", "type": "application/vnd.openstack.identity-v3+json"]],
        ]
    }

    static func token(_ identity: TokenIssuer.Identity, url: String) -> JSON {
        var token: JSON.Object = [
            "methods": .array(identity.token.methods.map(JSON.string)),
            "user": [
                "id": .string(identity.user.id), "name": .string(identity.user.name), "domain": domain,
                "password_expires_at": nil,
            ],
            "audit_ids": .array(identity.token.auditIDs.map(JSON.string)),
            "expires_at": .string(Timestamp.text(identity.token.expiresAt)),
            "issued_at": .string(Timestamp.text(identity.token.issuedAt)),
        ]
        if let project = identity.project {
            token["project"] = ["id": .string(project.id), "name": .string(project.name), "domain": domain]
            token["is_domain"] = false
            token["roles"] = .array(
                identity.roles.map(\.rawValue).sorted().map { ["id": .string($0), "name": .string($0)] })
            token["catalog"] = catalog(url)
        }
        return ["token": .object(token)]
    }

    static func catalog(_ url: String) -> JSON {
        [
            service("network", "neutron", url, url: url),
            service("identity", "keystone", url, url: url + "/identity"),
        ]
    }

    private static func service(_ type: String, _ name: String, _ id: String, url: String) -> JSON {
        let endpoints = ["public", "internal", "admin"].map { interface in
            [
                "id": .string("\(type)-\(interface)"), "interface": .string(interface), "region": "RegionOne",
                "region_id": "RegionOne", "url": .string(url),
            ] as JSON
        }
        return ["type": .string(type), "name": .string(name), "id": .string(type), "endpoints": .array(endpoints)]
    }

    static func project(_ project: Accounts.Project, url: String) -> JSON {
        [
            "id": .string(project.id), "name": .string(project.name), "domain_id": "default", "parent_id": "default",
            "description": "", "enabled": true, "is_domain": false, "tags": [], "options": [:],
            "links": ["self": .string("\(url)/identity/v3/projects/\(project.id)")],
        ]
    }

    static func projects(_ projects: [Accounts.Project], url: String, path: String) -> JSON {
        [
            "projects": .array(projects.map { project($0, url: url) }),
            "links": ["self": .string(url + path), "next": nil, "previous": nil],
        ]
    }

    /// A refusal as Keystone writes it.
    static func fault(_ fault: Fault) -> JSON {
        let title = fault.status == 404 ? "Not Found" : fault.type
        return [
            "error": [
                "code": .integer(Int64(fault.status)), "title": .string(title), "message": .string(fault.message),
            ]
        ]
    }

    private static let domain: JSON = ["id": "default", "name": "Default"]
}
