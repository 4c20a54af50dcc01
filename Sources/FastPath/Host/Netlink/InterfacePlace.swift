// Which interface is meant, where there are several network namespaces: an index alone names one in each. Before it:
// Link.swift and NetworkNamespace.swift. After it: whoever keeps something by interface.

import Glibc

/// An interface, wherever it is.
package struct InterfacePlace: Hashable {
    /// Nil for the dataplane's own.
    package let namespace: NetworkNamespace?
    package let index: Int32

    package init(_ index: Int32, in namespace: NetworkNamespace? = nil) {
        self.namespace = namespace
        self.index = index
    }

    /// Whether it is one of these of the dataplane's own namespace.
    func isAmong(_ own: Set<Int32>) -> Bool { namespace == nil && own.contains(index) }
}

/// What an interface of the calling thread's namespace is called now; nil where there is none of this index.
func interfaceName(_ index: Int32) -> String? {
    var room = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
    return room.withUnsafeMutableBufferPointer { room in
        if_indextoname(UInt32(index), room.baseAddress!).map { String(cString: $0) }
    }
}
