// Reads the `import` lines of every Swift file and holds them against ImportRule.all: the architecture is what the
// imports say, not what a page says.

import Foundation
import Testing

@Suite("Imports are the architecture")
struct ImportTests {
    /// The package's folder: this file is `Tests/ImportTests/ImportTests.swift` in it.
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test("every folder keeps its rule", arguments: ImportRule.all)
    func folderKeepsItsRule(rule: ImportRule) throws {
        let files = try Self.swiftFiles(below: "Sources/\(rule.folder)")
        try #require(!files.isEmpty, "Sources/\(rule.folder) holds no Swift file: mend the rule or the folder")
        for file in files {
            for module in Self.imports(in: try String(contentsOf: file, encoding: .utf8)) where !rule.allows(module) {
                Issue.record("\(file.path()) imports \(module), but Sources/\(rule.folder) \(rule.says)")
            }
        }
    }

    @Test("tests reach the code as its users do: no @testable import")
    func noTestableImports() throws {
        for file in try Self.swiftFiles(below: "Tests") {
            let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
            #expect(!lines.contains { $0.hasPrefix("@testable") }, "\(file.path())")
        }
    }

    @Test("an import line is understood in every spelling that the language has")
    func spellings() {
        let text = """
            // import Comment
            import Plain
            public import Shown
            package import Shared
            @preconcurrency import Old
            @preconcurrency public import Older
            @_implementationOnly import Hidden
            @_spi(Testing) import Secret
            import struct Parts.Piece
            #if canImport(Glibc)
                import Indented
            #endif
            let text = "import Nothing"
            importantFunction()
            """
        #expect(
            Self.imports(in: text) == [
                "Plain", "Shown", "Shared", "Old", "Older", "Hidden", "Secret", "Parts", "Indented",
            ])
    }

    @Test("a planted violation is caught")
    func rulesBite() throws {
        let rule = { (folder: String) in try #require(ImportRule.all.first { $0.folder == folder }) }
        for module in ["Foundation", "NIOCore", "Logging", "Metrics", "Dispatch"] {
            #expect(try !rule("FastPath/Datapath").allows(module))
        }
        #expect(try rule("FastPath/Datapath").allows("CShims"))
        #expect(try !rule("FastPath/Program").allows("Foundation"))
        #expect(try !rule("Control").allows("FastPath"))
        #expect(try rule("Control").allows("MirrorProgram"))
        #expect(try !rule("FastPath/Host").allows("ControlModel"))
        #expect(try !rule("Control/API").allows("ControlReconcile"))
        #expect(try !rule("Control/Reconcile").allows("ControlAPI"))
    }

    /// The modules that a file imports, in the order of its lines.
    static func imports(in text: String) -> [String] {
        text.matches(
            of:
                /^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:(?:public|package|internal|fileprivate|private)[ \t]+)?import[ \t]+(?:(?:struct|class|enum|protocol|actor|func|var|let|typealias)[ \t]+)?(\w+)/
                .anchorsMatchLineEndings()
        ).map { String($0.1) }
    }

    private static func swiftFiles(below folder: String) throws -> [URL] {
        let folder = root.appending(path: folder)
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path())
        return names.filter { $0.hasSuffix(".swift") }.sorted().map { folder.appending(path: $0) }
    }
}
