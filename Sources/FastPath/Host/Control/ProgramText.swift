// Programs as text: read from a file or a line, checked, and every error said with the place it is about.

import FoundationEssentials
package import MirrorProgram
import PacketFilter

extension MirrorProgram {
    /// Reads and checks a program.
    ///
    /// - Throws: a line that names the key, or the line and column, that is wrong.
    package init(text: some Collection<UInt8>) throws(HostError) {
        if let place = JSONSyntax.firstError(in: text) {
            throw HostError("line \(place.line), column \(place.column): this is not JSON")
        }
        do {
            self = try JSONDecoder().decode(MirrorProgram.self, from: Data(text))
            try validate()
            try compileFilters()
        } catch let error as DecodingError {
            throw HostError(error.place)
        } catch {
            throw HostError("\(error)")
        }
    }
}

extension DecodingError {
    /// What is wrong, behind the path of the object it is wrong with: `ports[2].mac: 'x' is not a MAC address …`.
    package var place: String {
        switch self {
        case .typeMismatch(_, let context), .valueNotFound(_, let context): context.place(context.debugDescription)
        case .keyNotFound(let key, let context): context.place("the key '\(key.stringValue)' is missing")
        case .dataCorrupted(let context): context.place(context.debugDescription)
        @unknown default: "\(self)"
        }
    }
}

extension DecodingError.Context {
    fileprivate func place(_ what: String) -> String {
        var path = ""
        for key in codingPath {
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += (path.isEmpty ? "" : ".") + key.stringValue
            }
        }
        return path.isEmpty ? what : "\(path): \(what)"
    }
}
