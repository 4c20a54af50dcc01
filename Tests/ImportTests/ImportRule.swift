// The architecture as data: which module each folder under Sources may import. docs/architecture.md draws the same
// picture; ImportTests.swift holds the sources against it.

import Testing

/// What the Swift files of one folder may import.
struct ImportRule: Sendable, CustomTestStringConvertible {
    /// Folder below `Sources`, and everything in it.
    let folder: String
    /// Whether a module may be imported there.
    let allows: @Sendable (String) -> Bool
    /// The rule in words, for the message of a violation.
    let says: String

    var testDescription: String { folder }

    /// Nothing but the modules named.
    static func only(_ folder: String, _ allowed: Set<String>) -> ImportRule {
        let says = allowed.isEmpty ? "imports nothing" : "imports at most \(allowed.sorted().joined(separator: ", "))"
        return ImportRule(folder: folder, allows: allowed.contains, says: says)
    }

    /// Anything but the modules named; a name that ends in `*` stands for all that begin so.
    static func never(_ folder: String, _ denied: Set<String>) -> ImportRule {
        ImportRule(
            folder: folder,
            allows: { module in
                !denied.contains { $0.hasSuffix("*") ? module.hasPrefix($0.dropLast()) : module == $0 }
            },
            says: "never imports \(denied.sorted().joined(separator: ", "))")
    }

    /// CShims <- FastPath -> MirrorProgram <- Control, in path order.
    static let all: [ImportRule] = [
        .only("FastPath/Program", []),
        .only("FastPath/Filter", ["CLibPCAP", "MirrorProgram", "Synchronization"]),
        .only("FastPath/Datapath", ["CShims", "MirrorProgram", "Synchronization", "Glibc"]),
        .never("FastPath/Host", ["Control*", "NIO*", "Hummingbird*", "GRDB", "Lab", "Demo"]),
        .never("heliostat-dataplane", ["Control*", "NIO*", "Hummingbird*", "GRDB", "Lab", "Demo"]),
        .never("Control", ["FastPath", "FastPathHost", "CShims", "CLibBPF", "Lab", "Demo"]),
        .only("Control/Model", ["MirrorProgram", "Foundation", "FoundationEssentials"]),
        .never(
            "Control/Store",
            ["ControlIdentity", "ControlAPI", "ControlReconcile", "ControlTelemetry", "ControlCommands"]),
        .never(
            "Control/Identity",
            ["ControlStore", "ControlAPI", "ControlReconcile", "ControlTelemetry", "ControlCommands"]),
        .never("Control/Telemetry", ["ControlStore", "ControlAPI", "ControlReconcile", "ControlCommands"]),
        .never("Control/API", ["ControlReconcile", "ControlCommands"]),
        .never("Control/Reconcile", ["ControlAPI", "ControlIdentity", "ControlCommands"]),
        .never("heliostat", ["FastPath", "FastPathHost", "CShims", "CLibBPF"]),
        // The witness judges from outside: it shares no code with what it watches.
        .never("Lab", ["FastPath", "FastPathHost", "CLibBPF", "MirrorProgram", "Control*"]),
        .never("Demo", ["FastPath", "FastPathHost", "CLibBPF", "Control*"]),
    ]
}
