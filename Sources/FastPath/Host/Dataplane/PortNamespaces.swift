// The interfaces of the other network namespaces that ports are in. Nobody tells of their changes, since who listens
// there keeps the namespace alive: they are looked at once a second, each for a moment. Before it: the ports of a
// program. After it: PortPlan.swift.

/// What a port finds in its network namespace.
package struct NamespaceView {
    /// Nil for the dataplane's own.
    package var namespace: NetworkNamespace?
    package var links: LinkTable
    /// Why nothing can be seen there.
    package var obstacle: String?

    package init(links: LinkTable, namespace: NetworkNamespace? = nil, obstacle: String? = nil) {
        self.links = links
        self.namespace = namespace
        self.obstacle = obstacle
    }
}

/// Network namespaces by the name that ports know them by.
struct PortNamespaces {
    private(set) var views: [String: NamespaceView] = [:]
    /// Those that the next looks have yet to come to.
    private var due: [String] = []

    subscript(name: String) -> NamespaceView? { views[name] }

    /// The interface behind a hook, if it is there still.
    func link(_ namespace: NetworkNamespace, _ index: Int32) -> Link? {
        guard let view = views[namespace.name], view.namespace == namespace else { return nil }
        return view.links[index]
    }

    /// Knows these from now on, and no others; new ones are looked at at once.
    ///
    /// - Returns: interfaces of new ones that had filters of an earlier run.
    mutating func follow(_ names: Set<String>) -> [String] {
        views = views.filter { names.contains($0.key) }
        var swept: [String] = []
        for name in names.sorted() where views[name] == nil {
            views[name] = Self.look(name) { links in
                swept += Sweep.run(links).map { "\($0) in \(name)" }
            }
        }
        return swept
    }

    /// Looks at all of them again, for some 20 ms at a time: what is left is looked at the next time.
    mutating func inspect() {
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(20))
        if due.isEmpty { due = views.keys.sorted().reversed() }
        while let name = due.popLast() {
            if views[name] != nil { views[name] = Self.look(name) }
            if ContinuousClock.now > deadline { return }
        }
    }

    private static func look(_ name: String, atFirst: @escaping (LinkTable) -> Void = { _ in }) -> NamespaceView {
        do throws(HostError) {
            let namespace = try NetworkNamespace(named: name)
            let links = try namespace.enter { () throws(HostError) in
                var links = LinkTable()
                try links.reload(NetlinkSocket())
                atFirst(links)
                return links
            }
            return NamespaceView(links: links, namespace: namespace)
        } catch {
            return NamespaceView(links: LinkTable(), obstacle: error.description)
        }
    }
}
