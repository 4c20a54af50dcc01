// Packet filters as they are asked for: one that libpcap does not understand is the client's to mend.
// Before: the operations of tap flows and tap mirrors. After: the store; DesiredState compiles them for the dataplane.

import ControlModel
import PacketFilter

extension TapActions {
    /// - Throws: `Fault.invalid` with what is wrong, and where.
    func checkFilter() throws(Fault) {
        guard let filter else { return }
        do throws(FilterError) {
            _ = try FilterCompiler.compile(filter)
        } catch { throw .invalid("filter", error.description) }
    }
}
