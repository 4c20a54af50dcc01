// One lab at a time: tests run in parallel, but two labs on one machine spoil each other's timing.
// Test targets take a turn around each of their tests on namespaces.

/// The right to use the machine for a lab.
public actor LabTurn {
    public static let shared = LabTurn()
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Waits for the turn, first come, first served.
    public func take() async {
        // Whoever is woken inherits the turn: it is never free in between.
        if isTaken { await withCheckedContinuation { waiting.append($0) } } else { isTaken = true }
    }

    /// Gives the turn to the next one.
    public func give() {
        if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
}
