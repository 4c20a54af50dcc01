// From an expression in pcap-filter(7) syntax to classic BPF for Ethernet, by libpcap, and from libpcap's refusals to
// errors with a place. Before it: FilterTokens.swift. After it: the program's taps (ProgramFilters.swift).
//
// libpcap says "syntax error" and no more. Its parser stops at the first token that cannot stand where it stands, and
// reads no further. So a number that its scanner refuses, put behind the first k tokens, is complained about if and only
// if the parser has come that far: the first k for which the complaint is another one ends with the token at fault.

private import CLibPCAP
public import MirrorProgram
private import Synchronization

/// Compiles filter expressions. Callable from any thread; one compilation runs at a time.
public enum FilterCompiler {
    /// Larger than any frame: what a filter's `ret` says for "take it".
    private static let snaplen: Int32 = 262_144
    /// What the scanner refuses with words of its own: a number beyond 32 bits, which nobody else writes.
    private static let stranger = "31415926535897932384"
    /// Ports that an expression may name, a range counting as two: libpcap's time rises with the cube of their number,
    /// to a second for so many.
    public static let mostPorts = 128
    /// libpcap's compiler is not safe to run twice at a time everywhere: it looks up services, and older ones have globals.
    private static let turn = Mutex(())

    /// Compiles for Ethernet (DLT_EN10MB), optimised. Nothing is looked up but services and protocols in this host's files.
    ///
    /// - Returns: 1 ... `MirrorProgram.instructionsPerFilter` instructions without backward jumps.
    public static func compile(
        _ expression: String
    ) throws(FilterError) -> [MirrorProgram.FilterInstruction] {
        try checkText(expression)
        let tokens = FilterToken.split(expression)
        if tokens.isEmpty {
            throw FilterError(column: 1, token: nil, reason: "the filter is empty; leave it out to take every frame")
        }
        try checkWords(tokens)
        let code: [MirrorProgram.FilterInstruction]
        do throws(Refusal) {
            code = try run(expression, optimised: true)
        } catch {
            throw place(error.text, expression, tokens)
        }
        if code.count > MirrorProgram.instructionsPerFilter {
            throw FilterError(
                column: 1, token: nil,
                reason:
                    "the filter compiles to \(code.count) instructions; \(MirrorProgram.instructionsPerFilter) is the limit"
            )
        }
        // Loads beyond this offset ask the kernel about its buffer, not about the frame (linux/filter.h, SKF_AD_OFF).
        if code.contains(where: { $0.code & 0xE7 == 0x20 && $0.k >= 0xFFF0_0000 }) {
            throw FilterError(column: 1, token: nil, reason: "the filter reads behind the end of every frame")
        }
        return code
    }

    private static func checkText(_ expression: String) throws(FilterError) {
        if let excess = MirrorProgram.PacketFilter.excess(expression) {
            throw FilterError(column: 1, token: nil, reason: excess)
        }
        for (index, character) in expression.unicodeScalars.enumerated()
        where !(0x20...0x7E).contains(character.value) && !(0x09...0x0D).contains(character.value) {
            throw FilterError(
                column: index + 1, token: nil,
                reason: "the character U+\(String(character.value, radix: 16, uppercase: true)) cannot be in a filter")
        }
    }

    /// Refuses what libpcap would ask a name server for, and what has no meaning for a copy.
    private static func checkWords(_ tokens: [FilterToken]) throws(FilterError) {
        /// The last word that says what a bare name stands for; a new qualifier begins anew.
        var kind: String?
        var before: String?
        var ports = 0
        for token in tokens {
            defer { before = token.text }
            if let reason = refused[token.text] {
                throw FilterError(column: token.column, token: token.text, reason: reason)
            }
            guard token.isEscaped || token.isWord else { continue }
            let isName = token.isEscaped || (!token.isNumeric && isName(token.text))
            if isName, !(before.map(takesWord.contains) ?? false), !(kind.map(takesName.contains) ?? false) {
                throw FilterError(
                    column: token.column, token: token.text,
                    reason: "this is no keyword of pcap-filter(7), and names are not looked up; write an address")
            }
            if isName || token.isNumeric {
                ports += kind == "portrange" ? 2 : kind == "port" ? 1 : 0
                if ports > mostPorts {
                    throw FilterError(
                        column: token.column, token: token.text,
                        reason: "a filter names at most \(mostPorts) ports, a range counting as two; use several taps")
                }
            } else if !joins.contains(token.text) {
                kind = token.text
            }
        }
    }

    private static let refused: [String: String] = [
        "gateway": "names are not looked up; write 'ether host ADDRESS and not host ADDRESS' instead",
        "protochain": "loops are not allowed in a filter; write 'proto', or test the bytes",
        "inbound": "a copy has no such direction; set the direction of the tap",
        "outbound": "a copy has no such direction; set the direction of the tap",
        "ifindex": "a copy belongs to the tap's own port; leave it out",
    ]
    /// Services and protocols: from /etc/services and /etc/protocols, never from a name server.
    private static let takesName: Set<String> = ["port", "portrange", "proto"]
    /// Words that libpcap compares itself.
    private static let takesWord: Set<String> = [
        "llc", "type", "subtype", "dir", "direction", "on", "ifname", "rset", "ruleset", "reason", "action",
    ]
    private static let joins: Set<String> = ["and", "or", "not"]

    /// Whether libpcap's scanner takes the word for a name. Asked where a name is a service, so that nothing is looked up.
    private static func isName(_ word: String) -> Bool {
        do throws(Refusal) {
            _ = try run("port " + word, optimised: false)
        } catch {
            if error.isSyntax || error.text.contains("ethernet address") { return false }
        }
        // A word for a number, such as tcp-syn, is an offset as well.
        return (try? run("ether[" + word + "] = 0", optimised: false)) == nil
    }

    /// The error that libpcap has, with its place.
    private static func place(_ text: String, _ expression: String, _ tokens: [FilterToken]) -> FilterError {
        let bytes = Array(expression.utf8)
        /// Whether the parser stops before it has come to what follows the first `count` tokens.
        func fails(_ count: Int) -> Bool {
            let prefix = String(decoding: bytes[..<tokens[count - 1].end], as: UTF8.self)
            do throws(Refusal) {
                _ = try run(prefix + " " + stranger, optimised: false)
                return true
            } catch {
                return !error.text.contains(stranger)
            }
        }
        var low = 1
        var high = tokens.count + 1
        while low < high {
            let middle = (low + high) / 2
            if fails(middle) { high = middle } else { low = middle + 1 }
        }
        if text.contains("rejects all packets") {
            return FilterError(column: 1, token: nil, reason: "no frame can satisfy this filter")
        }
        let isSyntax = Refusal(text: text).isSyntax
        guard low <= tokens.count else {
            if isSyntax {
                return FilterError(
                    column: expression.count + 1, token: nil, reason: "the filter ends too early (pcap-filter(7))")
            }
            let last = tokens[tokens.count - 1]
            return FilterError(column: last.column, token: last.text, reason: text)
        }
        let token = tokens[low - 1]
        return FilterError(
            column: token.column, token: token.text,
            reason: isSyntax ? "this cannot stand here (pcap-filter(7))" : text)
    }

    /// Why libpcap did not compile.
    private struct Refusal: Error {
        var text: String
        var isSyntax: Bool { text.contains("syntax error") }
    }

    private static func run(
        _ expression: String, optimised: Bool
    ) throws(Refusal) -> [MirrorProgram.FilterInstruction] {
        try turn.withLock { (_) throws(Refusal) in
            guard let handle = pcap_open_dead(DLT_EN10MB, snaplen) else {
                throw Refusal(text: "no memory for a filter")
            }
            defer { pcap_close(handle) }
            var program = pcap_bpf_program()
            if pcap_compile(handle, &program, expression, optimised ? 1 : 0, PCAP_NETMASK_UNKNOWN) != 0 {
                throw Refusal(text: String(cString: pcap_geterr(handle)))
            }
            defer { pcap_freecode(&program) }
            return UnsafeBufferPointer(start: program.bf_insns, count: Int(program.bf_len)).map {
                MirrorProgram.FilterInstruction(code: $0.code, jumpTrue: $0.jt, jumpFalse: $0.jf, k: $0.k)
            }
        }
    }
}
