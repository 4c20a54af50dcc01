// A compiled BPF program out of this binary, opened by libbpf from memory and loaded into the kernel.
// Before it: the CompileBPF plugin. After it: CaptureProgram.swift and SteerProgram.swift.

import CLibBPF
import CShims
import Glibc

/// One BPF object file with its maps.
final class BPFObject {
    let raw: OpaquePointer
    private let log: UnsafeMutableBufferPointer<CChar>

    /// - Parameters:
    ///   - name: what errors call it.
    ///   - base64: the object file, as the plugin embeds it.
    init(_ name: String, base64: String) throws(HostError) {
        libbpf_set_print(nil)  // what fails is in errors of ours, once
        let image = Base64.decode(base64)
        let log = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 1 << 16)
        log.initialize(repeating: 0)
        var options = bpf_object_open_opts()
        options.sz = optionsSize(to: \bpf_object_open_opts.kernel_log_level)
        options.kernel_log_buf = log.baseAddress
        options.kernel_log_size = log.count
        let opened = name.withCString { name in
            options.object_name = name
            return image.withUnsafeBytes { bpf_object__open_mem($0.baseAddress, $0.count, &options) }
        }
        guard let opened else {
            log.deallocate()
            throw .system("cannot open the BPF object '\(name)'")
        }
        raw = opened
        self.log = log
    }

    deinit {
        bpf_object__close(raw)
        log.deallocate()
    }

    /// Creates the maps and has the kernel verify the programs.
    func load(_ name: String) throws(HostError) {
        let result = bpf_object__load(raw)
        if result == 0 { return }
        throw .system("the kernel does not take the BPF program '\(name)'\(verdict)", -result)
    }

    /// The last lines of the verifier's log, which say what it refused.
    private var verdict: String {
        let lines = String(cString: log.baseAddress!).split(separator: "\n").suffix(3)
        return lines.isEmpty ? "" : " (\(lines.joined(separator: "; ")))"
    }

    /// Descriptor of a map; the object keeps it.
    func map(_ name: String) throws(HostError) -> Int32 {
        let descriptor = bpf_object__find_map_fd_by_name(raw, name)
        if descriptor < 0 { throw HostError("the BPF object has no map '\(name)'") }
        return descriptor
    }

    func program(_ name: String) throws(HostError) -> OpaquePointer {
        guard let program = bpf_object__find_program_by_name(raw, name) else {
            throw HostError("the BPF object has no program '\(name)'")
        }
        return program
    }

    /// A BPF array of one value.
    static func value(
        _ name: String, bytes: Int, flags: UInt32, _ failure: String
    ) throws(HostError) -> Descriptor {
        var options = bpf_map_create_opts()
        options.sz = optionsSize(to: \bpf_map_create_opts.map_flags)
        options.map_flags = flags
        return try Descriptor(failure) { bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, UInt32(bytes), 1, &options) }
    }

    /// A program of anybody's, by the kernel's number of it. The kernel tells the name to CAP_SYS_ADMIN alone.
    static func describe(program id: UInt32) -> String {
        let raw = bpf_prog_get_fd_by_id(id)
        guard raw >= 0 else { return "id \(id)" }
        let program = Descriptor(raw)
        var info = bpf_prog_info()
        var length = UInt32(MemoryLayout<bpf_prog_info>.size)
        guard bpf_obj_get_info_by_fd(program.raw, &info, &length) == 0 else { return "id \(id)" }
        let name = withUnsafeBytes(of: info.name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return "'\(name)' (id \(id))"
    }

    /// Offset of each `const volatile` variable in .rodata, and the section's size, from the object's BTF.
    func constants() throws(HostError) -> (offsets: [String: Int], size: Int) {
        let types = bpf_object__btf(raw)
        let section = btf__find_by_name_kind(types, ".rodata", datasec)
        guard section > 0, let type = btf__type_by_id(types, UInt32(section)) else {
            throw HostError("the BPF object has no constants")
        }
        let count = Int(type.pointee.info & 0xFFFF)
        let variables = UnsafeRawPointer(type + 1).assumingMemoryBound(to: btf_var_secinfo.self)
        var offsets: [String: Int] = [:]
        for variable in UnsafeBufferPointer(start: variables, count: count) {
            guard let named = btf__type_by_id(types, variable.type),
                let name = btf__name_by_offset(types, named.pointee.name_off)
            else { continue }
            offsets[String(cString: name)] = Int(variable.offset)
        }
        return (offsets, Int(type.pointee.size))
    }
}

/// `sz` of an option struct of libbpf: up to its last field that we know. What lies behind it must be zero, and Swift
/// leaves a struct's padding as it finds it.
func optionsSize<Options, Field>(to last: KeyPath<Options, Field>) -> Int {
    MemoryLayout<Options>.offset(of: last)! + MemoryLayout<Field>.size
}

/// RFC 4648 section 4, for the literals of the plugin: no white space, always padded.
enum Base64 {
    static func decode(_ text: String) -> [UInt8] {
        var values = [UInt8](repeating: 0, count: 256)
        for (value, letter) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8.enumerated() {
            values[Int(letter)] = UInt8(value)
        }
        var text = text
        return text.withUTF8 { letters in
            var bytes: [UInt8] = []
            bytes.reserveCapacity(letters.count / 4 * 3)
            for start in stride(from: 0, to: letters.count - 3, by: 4) {
                let word = (0..<4).reduce(UInt32(0)) { $0 << 6 | UInt32(values[Int(letters[start + $1])]) }
                bytes.append(UInt8(truncatingIfNeeded: word >> 16))
                bytes.append(UInt8(truncatingIfNeeded: word >> 8))
                bytes.append(UInt8(truncatingIfNeeded: word))
            }
            let padding = letters.reversed().prefix { $0 == UInt8(ascii: "=") }.count
            return Array(bytes.dropLast(padding))
        }
    }
}

/// BTF_KIND_DATASEC (linux/btf.h), which the header says twice.
private let datasec: UInt32 = 15
