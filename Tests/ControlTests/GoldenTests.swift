// The differential test: every recorded call of a real Neutron again, against the real responder on a real store.
// What an agent did there (statuses, and rows that go when it lets go) is done here between the calls.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlStore
import ControlTelemetry
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Testing

@Suite(.serialized) struct GoldenTests {
    @Test func everyRecordedCallIsAnsweredTheSame() async throws {
        var replayed = 0
        var differences: [String] = []
        for (file, deliberate) in [("neutron29-tapservice", 3), ("neutron29-tapflow", 6)] {
            let replay = try await GoldenReplay()
            let calls = try GoldenCall.read(file)
            let meant = GoldenDifference.all.flatMap(\.labels)
            var differing: Set<String> = []
            for call in calls {
                let difference = try await replay.difference(call)
                if difference == nil { continue }
                differing.insert(call.label)
                if !meant.contains(call.label) { Issue.record("\(file) \(call.line) \(call.label): \(difference!)") }
            }
            #expect(differing.count == deliberate)
            replayed += calls.count
            differences += differing
        }
        // Every difference of the list is really one.
        #expect(Set(differences) == GoldenDifference.all.reduce(into: []) { $0.formUnion($1.labels) })
        print(
            "golden calls replayed: \(replayed), equal: \(replayed - differences.count), "
                + "deliberate differences: \(differences.count)")
    }
}

/// One recording against a server of its own.
private final class GoldenReplay {
    private let api: APIHarness
    private var names = GoldenNames()
    private static let demo = "11111111111141118111111111111111"
    private static let alt = "22222222222242228222222222222222"

    init() async throws { api = try await APIHarness() }

    private func responder(for user: String?) -> Responder {
        let caller: Caller? =
            switch user {
            case "admin": .administrator
            case "demo": Caller(projectID: Self.demo, roles: [.member, .reader])
            case "demo-ro": Caller(projectID: Self.demo, roles: [.reader])
            case "alt": Caller(projectID: Self.alt, roles: [.member, .reader])
            default: nil
            }
        return api.responder(caller.map { .everybody($0) } ?? .token(AdministratorToken("nobody has this one")))
    }

    /// Nil if the answer is the recorded one.
    func difference(_ call: GoldenCall) async throws -> String? {
        let path = names.translate(call.path)
        var body = ""
        if let sent = call.body { body = names.translate(sent.string ?? sent.text) }
        let answer = try await api.send(
            HTTPRequest.Method(call.method)!, path, body, responder: responder(for: call.user))
        if call.method == "POST" { names.learn(call.response, answer.json) }
        let difference = compare(call, answer)
        try await seed(call, answer)
        try await agent(after: call)
        return difference
    }

    private func compare(_ call: GoldenCall, _ answer: APIHarness.Answer) -> String? {
        let isInventory = call.path.hasPrefix("/v2.0/ports") || call.path.hasPrefix("/v2.0/networks")
        var left = isInventory ? GoldenDifference.inventory : []
        left.formUnion(GoldenDifference.announced)
        func normalized(_ value: JSON) -> String { value.without(left).sorted.text }
        let recorded = (try? JSON(parsing: names.translate(call.response.text).utf8)) ?? .null
        if answer.status != call.status {
            return "\(answer.status) \(answer.text), not \(call.status) \(recorded.text)"
        }
        let (ours, theirs) = (normalized(answer.json), normalized(recorded))
        return ours == theirs ? nil : "\(ours)\nnot\n\(theirs)"
    }

    /// What upstream made and we refuse on purpose is put into the store by hand, so that what follows can be compared.
    private func seed(_ call: GoldenCall, _ answer: APIHarness.Answer) async throws {
        guard call.status == 201, answer.status == 403, var values = call.response.object?["tap_flow"]?.object else {
            return
        }
        let id = UUID().uuidString.lowercased()
        names.learn(values["id"]?.string ?? "", as: id)
        let translated = try JSON(parsing: names.translate(JSON.object(values).text).utf8).object ?? [:]
        values = translated
        let flow = try TapFlow(values)
        try await api.store.transact { $0.put(flow) }
    }

    // MARK: The agent

    /// What the recorded agent did between the calls: what is new on its host becomes ACTIVE, or ERROR by its name; what
    /// is deleted goes once somebody looked at it, and not at all by its name.
    private func agent(after call: GoldenCall) async throws {
        let snapshot = try await api.store.snapshot()
        let hosts = Dictionary(uniqueKeysWithValues: snapshot.ports.map { ($0.object.id, $0.object.hostName) })
        let path = names.translate(call.path)
        func lets(_ id: String, _ name: String) -> Bool {
            call.method == "GET" && path.hasSuffix("/" + id) && !name.hasPrefix("faildelete")
        }
        try await api.store.transact { transaction in
            for var service in snapshot.tapServices.map(\.object) {
                if service.status == .pendingDelete, lets(service.id, service.name) {
                    transaction.delete(service.key)
                } else if service.status == .down, hosts[service.portID] == "refhost" {
                    service.status = service.name.hasPrefix("failcreate") ? .error : .active
                    transaction.put(service)
                }
            }
            for var flow in snapshot.tapFlows.map(\.object) {
                if flow.status == .pendingDelete, lets(flow.id, flow.name) {
                    transaction.delete(flow.key)
                } else if flow.status == .down, hosts[flow.sourcePortID] == "refhost" {
                    flow.status = flow.name.hasPrefix("failcreate") ? .error : .active
                    transaction.put(flow)
                }
            }
        }
    }
}
