// Target `program`: any text as a program file. Whatever is read and found valid is written and read again as the same.

import Foundation
import MirrorProgram

enum FuzzProgram {
    static func take(_ bytes: [UInt8]) {
        guard let program = try? JSONDecoder().decode(MirrorProgram.self, from: Data(bytes)) else { return }
        guard (try? program.validate()) != nil else { return }
        guard let text = try? JSONEncoder().encode(program),
            let again = try? JSONDecoder().decode(MirrorProgram.self, from: text)
        else { fatalError("a valid program cannot be written and read again: \(program)") }
        expect(again == program, "read again it is another program: \(program)")
    }
}
