// Start and end: CPU and capability checks, state directory, back-off of the supervisor, texts of bad programs.

import CShims
import FastPathHost
import Foundation
import Glibc
import MirrorProgram
import Testing

@Suite struct ProcessTests {
    @Test func namesTheMissingInstructions() {
        #expect(CPUFeatures.missing(in: "processor : 0\nflags\t\t: fpu avx avx2 bmi1 bmi2 f16c fma movbe\n") == ["abm"])
        #expect(CPUFeatures.missing(in: "flags : " + CPUFeatures.required.joined(separator: " ")) == [])
    }

    @Test func namesTheMissingCapabilities() {
        #expect(Capabilities(effective: 0).missing == ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK"])
        #expect(Capabilities(effective: 1 << 39 | 1 << 12 | 1 << 14).missing == ["CAP_NET_RAW"])
        let admin = Capabilities(effective: 1 << 21 | 1 << 12 | 1 << 13 | 1 << 14)
        #expect(admin.missing == [] && admin.perfmon)
    }

    @Test func oneDataplaneADirectory() throws {
        try withTemporaryDirectory { path in
            let first = try StateDirectory(path + "/deep/er")
            #expect(first.socketPath == path + "/deep/er/dataplane.sock")
            #expect {
                try StateDirectory(path + "/deep/er")
            } throws: {
                "\($0)" == "another heliostat-dataplane (pid \(getpid())) runs on \(path)/deep/er; stop it first"
            }
        }
    }

    @Test func aDirectoryThatOthersWriteToIsRefused() throws {
        try withTemporaryDirectory { path in
            let (open, link) = (path + "/open", path + "/link")
            #expect(mkdir(open, 0o750) == 0 && chmod(open, 0o770) == 0)
            #expect(throws: HostError.self) { try StateDirectory(open) }
            #expect(chmod(open, 0o750) == 0 && symlink(open, link) == 0)
            #expect(throws: HostError.self) { try StateDirectory(link) }
            #expect(symlink(path + "/elsewhere", open + "/lock") == 0)
            #expect(throws: HostError.self) { try StateDirectory(open) }
            #expect(access(path + "/elsewhere", F_OK) != 0, "nothing was made through the link")
        }
    }

    @Test func keepsTheLastProgram() throws {
        try withTemporaryDirectory { path in
            do {
                let directory = try StateDirectory(path)
                #expect(try directory.lastProgram() == nil)
                try directory.save(program: [1, 2, 3])
                try directory.save(program: [4])
            }
            #expect(try StateDirectory(path).lastProgram() == [4])
            #expect(try FileManager.default.contentsOfDirectory(atPath: path).sorted() == ["lock", "program.json"])
        }
    }

    @Test func backsOffOnlyWhenItKeepsDying() {
        var backOff = Supervisor.BackOff()
        let quick = (0..<6).map { _ in backOff.delay(afterLifeOf: .milliseconds(10)) }
        #expect(quick == [.zero, .zero, .zero, .milliseconds(100), .milliseconds(200), .milliseconds(400)])
        #expect(backOff.delay(afterLifeOf: .seconds(60)) == .zero)
        #expect(backOff.delay(afterLifeOf: .milliseconds(10)) == .zero)
    }

    @Test(arguments: [
        ("{\"taps\":[}", "line 1, column 10: this is not JSON"),
        ("{\n \"ports\": [\n  {\"id\":\"a\" \"x\":1}]}", "line 3, column 13: this is not JSON"),
        (
            "{\"ports\":[{\"id\":\"a\",\"interface\":\"b\",\"x\":1}]}",
            "ports[0].x: unknown key 'x'; known here: capture, id, interface, mac, netns, pair, policy, side"
        ),
        ("{\"ports\":[{\"id\":\"a\"}]}", "ports[0]: the key 'interface' is missing"),
        ("{\"generation\":\"a\"}", "generation: "),
        ("", "line 1, column 1: this is not JSON"),
    ]) func saysWhereAProgramIsWrong(text: String, expected: String) {
        #expect {
            try MirrorProgram(text: text.utf8)
        } throws: {
            "\($0)".hasPrefix(expected)
        }
    }

    @Test(arguments: ["{}", " [1, -2.5e3, \"a\\\"b\", true, false, null, {\"a\": []}] ", "0"])
    func acceptsJSON(text: String) { #expect(JSONSyntax.firstError(in: text.utf8) == nil) }

    @Test(arguments: ["[", "{\"a\"}", "[1,]", "tru", "\"abc", "1 2"])
    func refusesWhatIsNotJSON(text: String) { #expect(JSONSyntax.firstError(in: text.utf8) != nil) }

    @Test func refusesEndlessNesting() {
        #expect(JSONSyntax.firstError(in: String(repeating: "[", count: 100_000).utf8) != nil)
    }
}
