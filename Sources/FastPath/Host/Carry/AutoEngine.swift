// What the engine `auto` means in one generation of a program. Before it: the sender's bound, and what EngineChoice.swift
// has decided. After it: CapturePlan.swift.

/// Who carries the taps that leave it open.
package enum AutoEngine: Equatable {
    /// The kernel: whatever it adds to the sender's time is within the bound.
    case kernel
    /// The kernel for the ports of these ids, if it can carry all that has to stay in one order; else the worker.
    case chosen(Set<String>)
}
