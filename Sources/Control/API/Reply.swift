// What goes back to the client: JSON in upstream's envelopes. Before: Responder. After: Hummingbird.

import ControlModel
import HTTPTypes
import Hummingbird
import NIOCore

/// One answer of the API.
struct Reply {
    var status: HTTPResponse.Status
    var body: JSON?
    var headers: HTTPFields = [:]
    /// A body that is no JSON, and its type.
    var text: (content: String, type: String)?

    static func ok(_ body: JSON) -> Reply { Reply(status: .ok, body: body) }
    static func created(_ body: JSON) -> Reply { Reply(status: .created, body: body) }
    static let noContent = Reply(status: .noContent)

    /// A refusal in Neutron's shape; 401 in Keystone's.
    ///
    /// - Parameter url: the server's URL, which 401 names as the place to authenticate at.
    init(_ fault: Fault, url: String) {
        status = HTTPResponse.Status(code: fault.status)
        if fault.status == 503 { headers[.retryAfter] = "1" }
        if fault == .unauthorized {
            body = ["error": ["code": 401, "title": "Unauthorized", "message": .string(fault.message)]]
            headers[.wwwAuthenticate] = "Keystone uri=\"\(url)\""
        } else if fault == .versionNotFound {
            body = ["code": 404, "title": "Not Found", "description": nil]
        } else {
            body = [
                "NeutronError": ["type": .string(fault.type), "message": .string(fault.message), "detail": ""]
            ]
        }
    }

    init(status: HTTPResponse.Status, body: JSON? = nil) {
        self.status = status
        self.body = body
    }

    /// - Parameter hasBody: false for the answer to a HEAD request.
    func response(requestID: String?, hasBody: Bool) -> Response {
        var headers = headers
        headers[.requestID] = requestID
        if let text {
            headers[.contentType] = text.type
            return Response(
                status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text.content)))
        }
        guard let body else { return Response(status: status, headers: headers) }
        headers[.contentType] = "application/json"
        return Response(
            status: status, headers: headers,
            body: hasBody ? ResponseBody(byteBuffer: ByteBuffer(bytes: body.bytes)) : ResponseBody())
    }
}

extension HTTPField.Name {
    static let requestID = HTTPField.Name("x-openstack-request-id")!
    static let furtherHost = HTTPField.Name("Host")!
    static let authToken = HTTPField.Name("X-Auth-Token")!
}
