// The dataplane's part of the state directory: whose it must be, and what its locks say.

import ControlCommands
import Foundation
import Logging
import Testing

@Suite struct ServeDirectoryTests {
    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test func makesTheDataplanesPart() throws {
        let state = try TemporaryDirectory()
        let directory = ServeStateDirectory(path: state.path)
        try directory.prepareDataplane(group: nil)
        #expect(try mode(state.path + "/dataplane") == 0o750)
        // A second start finds it.
        try directory.prepareDataplane(group: getegid())
        #expect(try mode(state.path + "/dataplane") == 0o750)
    }

    @Test func refusesADataplanesPartThatOthersMayWrite() throws {
        let state = try TemporaryDirectory()
        let path = state.path + "/dataplane"
        mkdir(path, 0o700)
        chmod(path, 0o770)
        let error = #expect(throws: ServeError.self) {
            try ServeStateDirectory(path: state.path).prepareDataplane(group: nil)
        }
        #expect(
            error?.description == """
                \(path) belongs to user id \(geteuid()) with mode 770, but only user id \(geteuid()) may write there; \
                look at what is in it and remove it
                """)
        #expect(try mode(path) == 0o770)
        // Another's, which only root can try.
        if geteuid() != 0 { return }
        chmod(path, 0o700)
        chown(path, 12345, 12345)
        let planted = #expect(throws: ServeError.self) {
            try ServeStateDirectory(path: state.path).prepareDataplane(group: nil)
        }
        #expect(planted?.description.hasPrefix("\(path) belongs to user id 12345 with mode 700, but") == true)
    }

    @Test func refusesALinkInItsPlace() throws {
        let state = try TemporaryDirectory()
        let elsewhere = try TemporaryDirectory()
        let path = state.path + "/dataplane"
        symlink(elsewhere.path, path)
        chmod(elsewhere.path, 0o700)
        let error = #expect(throws: ServeError.self) {
            try ServeStateDirectory(path: state.path).prepareDataplane(group: nil)
        }
        #expect(error?.description.hasPrefix("\(path) must be a directory of the dataplane's own; ") == true)
        #expect(try mode(elsewhere.path) == 0o700)
    }

    @Test func asksEachLock() throws {
        let state = try TemporaryDirectory()
        let directory = ServeStateDirectory(path: state.path)
        try directory.prepareDataplane(group: nil)
        let dataplane = ServeDataplane(directory: directory)
        #expect(dataplane.isRunning == false)
        #expect(dataplane.isSupervised == false)
        // A dataplane whose supervisor was killed.
        let lock = open(state.path + "/dataplane/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        defer { close(lock) }
        flock(lock, LOCK_EX)
        #expect(dataplane.isRunning == true)
        #expect(dataplane.isSupervised == false)
        let supervisor = open(state.path + "/dataplane/supervisor.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        flock(supervisor, LOCK_EX)
        #expect(dataplane.isSupervised == true)
        close(supervisor)
        #expect(dataplane.isSupervised == false)
    }
}
