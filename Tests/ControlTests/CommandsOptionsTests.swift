// Where the commands look for the API: options, then the environment, then the standard place.

import ArgumentParser
import ControlCommands
import Testing

@Suite struct CommandsOptionsTests {
    static func endpoint(_ arguments: [String], _ environment: [String: String] = [:]) throws -> APIEndpoint {
        try GlobalOptions.parse(arguments).endpoint(environment: environment)
    }

    @Test func precedence() throws {
        let everything = ["HELIOSTAT_API": "http://h:1", "HELIOSTAT_STATE_DIR": "/e", "HELIOSTAT_TOKEN": "t"]
        #expect(try Self.endpoint([]) == APIEndpoint(stateDirectory: "/var/lib/heliostat", token: nil))
        #expect(try Self.endpoint([], ["HELIOSTAT_STATE_DIR": "/e/"]).location == .socket("/e/api.sock"))
        #expect(try Self.endpoint([], everything) == APIEndpoint(url: "http://h:1", token: "t"))
        #expect(try Self.endpoint(["--state-dir", "/o"], everything).location == .socket("/o/api.sock"))
        let both = ["--state-dir", "/o", "--api", "https://o:2/v2.0/", "--token", "u"]
        #expect(try Self.endpoint(both, everything) == APIEndpoint(url: "https://o:2", token: "u"))
        #expect(throws: CommandError.self) { try Self.endpoint([], ["HELIOSTAT_API": "h:1"]) }
    }

    @Test(arguments: ["", "h", "ftp://h", "http://", "http://h/x", "http://h?a=b", "http://u@h"])
    func addressesThatAreNone(_ url: String) { #expect(APIEndpoint(url: url, token: nil) == nil) }

    @Test func urlsOfRequests() {
        #expect(APIEndpoint(url: "http://h:1/", token: nil)?.url("/v2.0/ports") == "http://h:1/v2.0/ports")
        #expect(
            APIEndpoint(stateDirectory: "/a b", token: nil).url("/v2.0/ports?name=x")
                == "http+unix://%2Fa%20b%2Fapi.sock/v2.0/ports?name=x")
    }
}
