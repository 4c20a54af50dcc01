// The certificate of the TCP listener, read again on SIGHUP: connections that are there keep the old one.
// Before: `heliostat serve --tls-certificate FILE --tls-key FILE`. After: Listener.

package import ControlIdentity
import Glibc
import HummingbirdTLS
import NIOCore
import NIOSSL
import Synchronization

/// A certificate chain and its key, in PEM files.
package final class TLSCertificate: Sendable {
    private struct Material {
        let chain: [NIOSSLCertificateSource]
        let key: NIOSSLPrivateKeySource
    }

    private let certificateFile: String
    private let keyFile: String
    private let kept: Mutex<Material>

    /// - Throws: `IdentityError` naming the file that is missing, is no PEM, does not fit the other, or (the key) can
    ///   be read by others.
    package init(certificate: String, key: String) throws(IdentityError) {
        certificateFile = certificate
        keyFile = key
        kept = Mutex(try Self.read(certificate, key))
    }

    /// Reads both files again; on failure what is in use stays in use.
    package func reload() throws(IdentityError) {
        let material = try Self.read(certificateFile, keyFile)
        kept.withLock { $0 = material }
    }

    private static func read(_ certificate: String, _ key: String) throws(IdentityError) -> Material {
        try check(key)
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificate)
            let secret = try NIOSSLPrivateKey(file: key, format: .pem)
            if chain.isEmpty { throw IdentityError("there is no certificate in \(certificate)") }
            let material = Material(chain: chain.map { .certificate($0) }, key: .privateKey(secret))
            // BoringSSL says here whether the key is the certificate's.
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(certificateChain: material.chain, privateKey: material.key))
            return material
        } catch let error as IdentityError {
            throw error
        } catch { throw IdentityError("the certificate \(certificate) with the key \(key) cannot be used: \(error)") }
    }

    /// Of what a link points to: certbot makes links.
    private static func check(_ key: String) throws(IdentityError) {
        let file = open(key, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if file < 0 { throw IdentityError("cannot read the key \(key): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        guard let ownership = FileOwnership(descriptor: file), ownership.kind == .regular else {
            throw IdentityError("the key \(key) is not a regular file")
        }
        if ownership.mode & 0o027 != 0 {
            throw IdentityError("the key \(key) can be read by others; chmod 600 it, or 640 with a group of its own")
        }
    }

    /// TLS 1.2 or later, with the certificate that is in use when a connection begins.
    var configuration: TLSConfiguration {
        let material = kept.withLock { $0 }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: material.chain, privateKey: material.key)
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        configuration.sslContextCallback = { [self] _, promise in
            let material = kept.withLock { $0 }
            var override = NIOSSLContextConfigurationOverride()
            override.certificateChain = material.chain
            override.privateKey = material.key
            promise.succeed(override)
        }
        return configuration
    }
}
