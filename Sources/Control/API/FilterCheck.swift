// Packet filters as they are asked for: one that libpcap does not understand is the client's to mend.
// Before: the operations of tap flows and tap mirrors. After: the store; DesiredState compiles them for the dataplane.

import ControlModel

extension TapActions {
    /// - Throws: `Fault.invalid` with what is wrong, and where.
    func checkFilter() throws(Fault) {}
}
