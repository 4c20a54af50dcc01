// What is wrong with a filter expression, in the same words wherever it was written: the API, the command line, a
// program file. Before it: FilterCompiler.swift.

/// A filter expression that cannot be compiled.
public struct FilterError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Column of the token that is wrong, in characters from 1; one behind the last for an expression that ends early.
    public let column: Int
    /// The token that is wrong; nil where the expression ends too early or is wrong as a whole.
    public let token: String?
    /// What is wrong with it, and what to do.
    public let reason: String

    public init(column: Int, token: String?, reason: String) {
        self.column = column
        self.token = token
        self.reason = reason
    }

    /// `column 10: 'htp': unknown port 'htp'`
    public var description: String {
        token.map { "column \(column): '\($0)': \(reason)" } ?? "column \(column): \(reason)"
    }
}
