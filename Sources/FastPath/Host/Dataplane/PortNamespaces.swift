// The interfaces of the other network namespaces that ports are in. Nobody tells of their changes, since who listens
// there keeps the namespace alive: they are looked at once a second, each for a moment. Before it: the ports of a
// program. After it: PortPlan.swift.

/// What a port finds in its network namespace.
package struct NamespaceView {
    /// Nil for the dataplane's own.
    package var namespace: NetworkNamespace?
    package var links: LinkTable
    /// Interfaces that a default route runs through, where that was asked for.
    package var defaultRoutes: Set<Int32>?
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
    /// Those whose default routes somebody wants to know.
    private var avoiding: Set<String> = []

    subscript(name: String) -> NamespaceView? { views[name] }

    /// The interfaces of a namespace as they were last seen; nil where it is none that is followed, or another one by now.
    func links(of namespace: NetworkNamespace) -> LinkTable? {
        views[namespace.name].flatMap { $0.namespace == namespace ? $0.links : nil }
    }

    /// Knows these from now on, and no others; new ones are looked at at once.
    ///
    /// - Parameter avoiding: those whose default routes matter.
    /// - Returns: interfaces of new ones that had filters of an earlier run.
    mutating func follow(_ names: Set<String>, avoiding: Set<String> = []) -> [String] {
        self.avoiding = avoiding
        views = views.filter { names.contains($0.key) }
        var swept: [String] = []
        for name in names.sorted() {
            guard let view = views[name] else {
                views[name] = look(name) { links in swept += Sweep.run(links).map { "\($0) in \(name)" } }
                continue
            }
            let isUnasked = avoiding.contains(name) && view.defaultRoutes == nil
            if view.namespace != nil && isUnasked { views[name] = look(name) }
        }
        return swept
    }

    /// Looks at all of them again, for some 20 ms at a time: what is left is looked at the next time. Those that are not
    /// there any more are found at once, since sockets of ours may hold them.
    mutating func inspect() {
        for (name, view) in views where view.namespace.map({ !$0.isThere }) ?? false { views[name] = look(name) }
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(20))
        if due.isEmpty { due = views.keys.sorted().reversed() }
        while let name = due.popLast() {
            if let view = views[name] {
                let next = look(name)
                // What only could not be looked at is left as it is: a wire is not to be cut for want of a descriptor.
                let isBlind = next.namespace == nil && view.namespace?.isThere == true
                if !isBlind { views[name] = next }
            }
            if ContinuousClock.now > deadline { return }
        }
    }

    private func look(_ name: String, atFirst: @escaping (LinkTable) -> Void = { _ in }) -> NamespaceView {
        let asks = avoiding.contains(name)
        do throws(HostError) {
            let namespace = try NetworkNamespace(named: name)
            return try namespace.enter { () throws(HostError) in
                let socket = try NetlinkSocket()
                var view = NamespaceView(links: LinkTable(), namespace: namespace)
                try view.links.reload(socket)
                if asks { view.defaultRoutes = view.links.carriers(of: DefaultRoutes.interfaces(socket)) }
                atFirst(view.links)
                return view
            }
        } catch {
            return NamespaceView(links: LinkTable(), obstacle: error.description)
        }
    }
}
