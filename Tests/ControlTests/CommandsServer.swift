// A real HTTP server on a Unix socket that answers with literal bodies and keeps what it was asked: the other end of
// the commands in the tests beside this file.

import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Synchronization

/// A scripted API. `state` is a state directory with its socket in it.
final class ScriptedAPI: Sendable {
    struct Answer: Sendable {
        let status: Int
        let body: String

        init(_ status: Int, _ body: String = "") { (self.status, self.body) = (status, body) }
    }

    /// The directory to give as `--state-dir`.
    let state: String
    /// By `METHOD path?query`. The last answer of a list is given for ever, those before it once.
    private let answers: Mutex<[String: [Answer]]>
    private let asked = Mutex<[String]>([])

    private init(state: String, _ answers: [String: [Answer]]) {
        self.state = state
        self.answers = Mutex(answers)
    }

    /// What was asked, in order: `METHOD path?query`, then a space and the body where there was one.
    var requests: [String] { asked.withLock { $0 } }

    private func answer(_ request: String, body: String) -> Answer {
        asked.withLock { $0.append(body.isEmpty ? request : "\(request) \(body)") }
        return answers.withLock { answers in
            guard let list = answers[request], let first = list.first else {
                return Answer(
                    404, #"{"NeutronError":{"type":"HTTPNotFound","message":"unscripted: \#(request)","detail":""}}"#)
            }
            if list.count > 1 { answers[request]?.removeFirst() }
            return first
        }
    }

    /// Serves `answers` while `work` runs.
    static func serving(_ answers: [String: [Answer]], _ work: @Sendable (ScriptedAPI) async throws -> Void)
        async throws
    {
        let state = FileManager.default.temporaryDirectory.path + "/hs-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: state) }
        let api = ScriptedAPI(state: state, answers)
        let responder = CallbackResponder<BasicRequestContext> { request, _ in
            let body = String(buffer: try await request.body.collect(upTo: 1 << 20))
            let answer = api.answer("\(request.method.rawValue) \(request.head.path ?? "")", body: body)
            return Response(
                status: .init(code: answer.status), headers: [.contentType: "application/json"],
                body: .init(byteBuffer: ByteBuffer(string: answer.body)))
        }
        let (running, isRunning) = AsyncStream<Void>.makeStream()
        let application = Application(
            responder: responder,
            configuration: .init(address: .unixDomainSocket(path: state + "/api.sock")),
            onServerRunning: { _ in isRunning.finish() },
            logger: Logger(label: "scripted") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.runService(gracefulShutdownSignals: []) }
            for await _ in running {}
            try await work(api)
            group.cancelAll()
        }
    }
}
