// `heliostat doctor`: facts, then judgements, then one line each, with the remedy under those that need one.

package import ArgumentParser
import ControlModel
import Foundation

/// `heliostat doctor`
package struct DoctorCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check what this machine offers, with the remedy for what is missing.",
        discussion: """
            Changes nothing. Ends with status 0 when mirroring can work, 1 when something stands in its way. Some answers \
            need root. Text unless --json is given.

            Example: sudo heliostat doctor
            """)

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let facts = await MachineProbe.facts(
            stateDirectory: globals.location.path(environment: environment),
            endpoint: try globals.endpoint(environment: environment))
        let findings = DoctorCheck.all.map { ($0.name, $0.judge(facts)) }
        let output = Output(json: globals.json == true)
        output.write(output.json ? Self.json(findings).prettyText + "\n" : Self.text(findings))
        if findings.contains(where: { $0.1.level == .fail }) { throw ExitCode(1) }
    }

    /// A line each, and a last one with the sum.
    package static func text(_ findings: [(String, Finding)]) -> String {
        let width = findings.map(\.0.count).max() ?? 0
        var text = ""
        for (name, finding) in findings {
            let level = finding.level.rawValue + String(repeating: " ", count: 6 - finding.level.rawValue.count)
            text +=
                level + name + String(repeating: " ", count: width - name.count + 2) + printable(finding.detail) + "\n"
            if let remedy = finding.remedy {
                text += String(repeating: " ", count: 6 + width + 2) + "-> " + printable(remedy) + "\n"
            }
        }
        let failed = findings.count { $0.1.level == .fail }
        let warned = findings.count { $0.1.level == .warn }
        return text + "\n"
            + (failed == 0 ? "Mirroring can work here" : "Mirroring cannot work here")
            + " (\(findings.count - failed - warned) ok, \(warned) warn, \(failed) FAIL).\n"
    }

    static func json(_ findings: [(String, Finding)]) -> JSON {
        .array(
            findings.map { name, finding in
                [
                    "check": .string(name), "level": .string(finding.level.rawValue.lowercased()),
                    "detail": .string(finding.detail), "remedy": finding.remedy.map(JSON.string) ?? .null,
                ]
            })
    }
}
