// `list`, `show` and `delete`: the same for every kind of object.

package import ArgumentParser

/// `heliostat KIND list`
package struct ListCommand<R: CommandResource>: AsyncParsableCommand {
    package static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "list", abstract: "List \(R.kind.title)s.",
            discussion: "Example: heliostat \(R.kind.noun) list --json | jq -r '.[].name'")
    }

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let output = globals.output
        try await globals.withAPI { api in
            let objects = try await api.list(R.kind)
            let names = output.json || objects.isEmpty ? Names() : await Names.of(R.references, api)
            output.list(objects, of: R.self, names: names)
        }
    }
}

/// `heliostat KIND show`
package struct ShowCommand<R: CommandResource>: AsyncParsableCommand {
    package static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "show", abstract: "Show all attributes of a \(R.kind.title).",
            discussion: "Example: heliostat \(R.kind.noun) show NAME --json | jq -r .id")
    }

    @Argument(help: "Name or id.")
    package var name: String

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (name, output) = (name, globals.output)
        try await globals.withAPI { api in
            output.object(try await api.find(R.kind, name), of: R.kind)
        }
    }
}

/// `heliostat KIND delete`
package struct DeleteCommand<R: CommandResource>: AsyncParsableCommand {
    package static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "delete", abstract: "Delete \(R.kind.title)s.",
            discussion: """
                All names are looked up first: when one is unknown or ambiguous, nothing is deleted.

                Example: heliostat \(R.kind.noun) delete NAME1 NAME2
                """)
    }

    @Argument(help: ArgumentHelp("Names or ids.", valueName: "name"))
    package var names: [String]

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (names, output) = (names, globals.output)
        try await globals.withAPI { api in
            var ids: [(name: String, id: String)] = []
            for name in names {
                let id = try await api.id(R.kind, name)
                if !ids.contains(where: { $0.id == id }) { ids.append((name, id)) }
            }
            for (name, id) in ids {
                try await api.delete(R.kind, id: id)
                if !output.json { output.write("deleted \(R.kind.title) \(printable(name)) (\(id))\n") }
            }
        }
    }
}
