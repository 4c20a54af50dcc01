// Promise: the control process, though root started it, has no rights: not one of its threads.

import Foundation
import Lab
import Testing

extension Promises {
    @Suite(.enabled("there is no user heliostat to become; make setup makes it") { getpwnam("heliostat") != nil })
    struct PromiseLeastPrivilege {
        /// The main thread of an asynchronous program is on its way out early, and a change of user passes it by.
        @Test func noThreadOfTheControlProcessKeepsARight() throws {
            try Served.with { _, serve, _ in
                let tasks = "/proc/\(serve.process.pid)/task"
                let threads = try FileManager.default.contentsOfDirectory(atPath: tasks)
                #expect(threads.count > 1)
                let user = try #require(getpwnam("heliostat")).pointee.pw_uid
                for thread in threads {
                    let status = try String(contentsOfFile: "\(tasks)/\(thread)/status", encoding: .utf8)
                    #expect(status.contains("Uid:\t\(user)\t\(user)\t\(user)\t\(user)\n"), "thread \(thread)")
                    #expect(status.contains("CapPrm:\t0000000000000000\n"), "thread \(thread)")
                }
                // It still starts what needs rights, and reaches it.
                try serve.command(["port", "create", "web", "--interface", TappedPair.tappedPort])
                try serve.command(["service", "create", "ids", "--to", TappedPair.monitorAddress])
                let flow = try serve.command(["flow", "create", "web", "--port", "web", "--service", "ids", "--json"])
                #expect(flow.contains("ACTIVE"))
            }
        }
    }
}
