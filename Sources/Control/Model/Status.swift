// The states of an intent, in upstream's words (neutron_lib.constants). Set by Reconcile, shown by the API.

/// State of a port, tap service or tap flow.
package enum Status: String, Hashable, Sendable, CaseIterable {
    /// Asked for and not (or no longer) in effect: not acknowledged yet, interface gone, host silent.
    case down = "DOWN"
    /// Its host acknowledged a program that contains it.
    case active = "ACTIVE"
    /// Refused; `status_reason` says why.
    case error = "ERROR"
    /// Deleted by the user; the dataplane has not acknowledged its removal.
    case pendingDelete = "PENDING_DELETE"
}

extension Validator {
    package static let status = Validator.values(Status.allCases.map(\.rawValue))
}
