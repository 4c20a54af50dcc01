// Packet filters compiled, each expression once: a program is computed anew with every change of any intent.
// Before: DesiredState. After: the code of a MirrorProgram.PacketFilter.

package import MirrorProgram
import PacketFilter
import Synchronization

/// What expressions come to.
package final class FilterCode: Sendable {
    /// Why there is no code.
    package struct Fault: Error, Hashable, Sendable {
        package let reason: String
        package init(_ reason: String) { self.reason = reason }
    }

    package typealias Outcome = Result<[MirrorProgram.FilterInstruction], Fault>

    private let compile: @Sendable (String) -> Outcome
    private let known = Mutex<[String: Outcome]>([:])
    /// Beyond so many the memory begins anew: expressions that nobody uses any more go with it.
    private static let mostKnown = 4096

    /// - Parameter compile: from an expression to code.
    package init(_ compile: @escaping @Sendable (String) -> Outcome = FilterCode.libpcap) { self.compile = compile }

    /// libpcap's code, or what it refuses with its place.
    package static let libpcap: @Sendable (String) -> Outcome = { expression in
        do throws(FilterError) {
            return .success(try FilterCompiler.compile(expression))
        } catch { return .failure(Fault(error.description)) }
    }

    package func code(of expression: String) -> Outcome {
        if let outcome = known.withLock({ $0[expression] }) { return outcome }
        let outcome = compile(expression)
        known.withLock { known in
            if known.count >= Self.mostKnown { known = [:] }
            known[expression] = outcome
        }
        return outcome
    }
}
