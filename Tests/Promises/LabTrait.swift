// Where and when a test on namespaces runs: on machines that have them, one lab at a time. Tests/LabTests links here.

import Lab
import Testing

/// Takes the machine's turn for a lab around each test.
struct OneLabAtATime: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        await LabTurn.shared.take()
        do {
            try await function()
        } catch {
            await LabTurn.shared.give()
            throw error
        }
        await LabTurn.shared.give()
    }
}

extension Trait where Self == OneLabAtATime {
    static var oneLabAtATime: Self { OneLabAtATime() }
}

extension Trait where Self == ConditionTrait {
    /// Runs where namespaces can be made; elsewhere the test is skipped with the reason.
    static var onNamespaces: Self {
        .enabled(if: Requirements.missing == nil, "\(Requirements.missing ?? "")")
    }
}
