// Compiles every BPF program of Sources/CShims/bpf inside `swift build` and hands each object to Swift as a
// base64 literal `let <name>Object`, so that the C is the only truth and nothing binary is in git.

import Foundation
import PackagePlugin

@main
struct CompileBPF: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let package = context.package.directoryURL
        let sources = package.appending(path: "Sources/CShims/bpf")
        let kernelHeaders = package.appending(path: "Sources/CShims/kernel/include")
        let script = package.appending(path: "Plugins/CompileBPF/compile")
        let clang = try context.tool(named: "clang").url
        let files = try FileManager.default.contentsOfDirectory(at: sources, includingPropertiesForKeys: nil)
        // Every file is an input of every object: some programs include others (capture_xdp is capture with another hook).
        let inputs =
            files.filter { $0.pathExtension == "h" || $0.pathExtension == "c" }
            + ["carry.h", "live.h", "record.h"].map { kernelHeaders.appending(path: $0) } + [script]
        return files.filter { $0.lastPathComponent.hasSuffix(".bpf.c") }.map { source in
            let name = source.lastPathComponent.replacing(".bpf.c", with: "")
            let output = context.pluginWorkDirectoryURL.appending(path: "\(name).object.swift")
            return .buildCommand(
                displayName: "Compiling BPF program \(name)",
                executable: URL(filePath: "/bin/sh"),
                arguments: [
                    script.path(), clang.path(), source.path(), kernelHeaders.path(), name, output.path(),
                ],
                inputFiles: inputs,
                outputFiles: [output])
        }
    }
}
