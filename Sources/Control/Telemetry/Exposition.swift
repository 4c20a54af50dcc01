// The text that Prometheus reads: exposition format 0.0.4. Before: MetricsDocument.swift. After: GET /metrics.

/// Metric families, written in order; the samples of a family follow its two comments.
struct Exposition {
    enum Kind: String { case counter, gauge, histogram }

    private(set) var text = ""
    private var name = ""

    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = "heliostat_" + name
        text += "# HELP \(self.name) \(Self.escaped(help, quotes: false))\n# TYPE \(self.name) \(kind.rawValue)\n"
    }

    /// - Parameter suffix: `_bucket`, `_sum` or `_count` of a histogram.
    mutating func sample(_ value: some MetricValue, _ labels: [(String, String)] = [], suffix: String = "") {
        let list = labels.map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }.joined(separator: ",")
        text += "\(name)\(suffix)\(list.isEmpty ? "" : "{\(list)}") \(value)\n"
    }

    mutating func histogram(_ histogram: Histogram, _ labels: [(String, String)] = []) {
        var count: UInt64 = 0
        for (bound, bucket) in zip(Histogram.bounds, histogram.buckets) {
            count += bucket
            sample(count, labels + [("le", "\(bound)")], suffix: "_bucket")
        }
        sample(histogram.count, labels + [("le", "+Inf")], suffix: "_bucket")
        sample(histogram.sum, labels, suffix: "_sum")
        sample(histogram.count, labels, suffix: "_count")
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        if quotes { result = result.replacing("\"", with: "\\\"") }
        return result
    }
}

/// Numbers whose Swift text is a number of the format.
protocol MetricValue: CustomStringConvertible {}
extension UInt64: MetricValue {}
extension Int: MetricValue {}
extension Double: MetricValue {}

/// Counts of durations in seconds, by upper bound.
struct Histogram: Hashable, Sendable {
    static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

    private(set) var buckets = [UInt64](repeating: 0, count: bounds.count)
    private(set) var sum = 0.0
    private(set) var count: UInt64 = 0

    mutating func record(_ seconds: Double) {
        if let index = Self.bounds.firstIndex(where: { seconds <= $0 }) { buckets[index] += 1 }
        sum += seconds
        count += 1
    }
}
