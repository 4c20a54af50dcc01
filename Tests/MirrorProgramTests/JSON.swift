// JSON in and out for these tests: sorted keys, so that literal text can be compared.

import Foundation

func decoded<Value: Decodable>(_ text: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(text.utf8))
}

func encoded(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// Why `text` is refused as a `Value`; nil when it is accepted.
func refusal<Value: Decodable>(of type: Value.Type, in text: String) -> String? {
    do {
        _ = try JSONDecoder().decode(type, from: Data(text.utf8))
        return nil
    } catch let error as DecodingError {
        switch error {
        case .dataCorrupted(let context), .keyNotFound(_, let context), .typeMismatch(_, let context),
            .valueNotFound(_, let context):
            return context.debugDescription
        @unknown default: return "\(error)"
        }
    } catch {
        return "\(error)"
    }
}
