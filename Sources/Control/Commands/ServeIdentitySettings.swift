// Who may call this server: what `heliostat serve` is told about tokens, Keystone, TLS, policy and the audit.
// Before: ServeConfiguration. After: ServeIdentity, when the process has become the user that serves.

import ArgumentParser
import ControlIdentity

/// The settings of who may do what.
package struct ServeIdentitySettings: Hashable, Sendable {
    package static let keys = [
        "auth", "auth_project", "keystone_url", "keystone_user", "keystone_project", "keystone_domain",
        "keystone_password_file", "keystone_cacert", "keystone_cache", "tls_certificate", "tls_key", "policy",
        "audit_log",
    ]

    /// By the names of `keys`.
    package private(set) var values: [String: String] = [:]

    package init() {}

    package subscript(key: String) -> String? {
        get { values[key] }
        set { values[key] = newValue }
    }

    /// Everybody on the TCP address is the administrator of this project; nil: a token is needed.
    var openProject: String? { values["auth"] == "none" ? values["auth_project"] : nil }

    var keystone: Keystone.Settings? {
        guard let url = values["keystone_url"], let password = values["keystone_password_file"] else { return nil }
        var settings = Keystone.Settings(
            url: url, user: values["keystone_user"] ?? "heliostat", project: values["keystone_project"] ?? "service",
            domain: values["keystone_domain"] ?? "Default", passwordFile: password,
            certificateAuthority: values["keystone_cacert"])
        if let seconds = values["keystone_cache"].flatMap(Double.init) { settings.timeToLive = seconds }
        return settings
    }

    /// - Throws: `ServeError` for the first setting that cannot be.
    func validate() throws(ServeError) {
        let auth = values["auth"] ?? "token"
        if auth != "token", auth != "none" { throw ServeError("--auth is token or none, and not '\(auth)'") }
        if auth == "none", (values["auth_project"] ?? "").isEmpty {
            throw ServeError(
                "--auth none makes everybody the administrator of one project; name it with --auth-project")
        }
        if auth == "token", values["auth_project"] != nil { throw ServeError("--auth-project goes with --auth none") }
        let keystone = values.keys.filter { $0.hasPrefix("keystone_") }.sorted()
        if let url = values["keystone_url"] {
            if auth == "none" { throw ServeError("--auth none and --keystone-url contradict each other") }
            if !url.hasPrefix("http://"), !url.hasPrefix("https://") {
                throw ServeError("--keystone-url '\(url)' is not an address such as https://keystone:5000")
            }
            if values["keystone_password_file"] == nil {
                throw ServeError("--keystone-url needs the service user's password: --keystone-password-file")
            }
            if let text = values["keystone_cache"], !(Int(text).map { (0...3600).contains($0) } ?? false) {
                throw ServeError("--keystone-cache is a number of seconds, 0 to 3600, and not '\(text)'")
            }
        } else if let option = keystone.first {
            throw ServeError("--\(option.replacing("_", with: "-")) goes with --keystone-url")
        }
        if (values["tls_certificate"] == nil) != (values["tls_key"] == nil) {
            throw ServeError("--tls-certificate and --tls-key go together")
        }
    }
}

/// The same as options.
package struct ServeIdentityOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Who may call the TCP address: 'token' (default), or 'none': everybody is the administrator.",
            valueName: "token|none"))
    var auth: String?

    @Option(help: ArgumentHelp("With --auth none: the project that owns what is made.", valueName: "name"))
    var authProject: String?

    @Option(help: ArgumentHelp("A Keystone that judges tokens, such as https://keystone:5000.", valueName: "url"))
    var keystoneUrl: String?

    @Option(help: ArgumentHelp("The service user there (default heliostat).", valueName: "name"))
    var keystoneUser: String?

    @Option(help: ArgumentHelp("The service user's project (default service).", valueName: "name"))
    var keystoneProject: String?

    @Option(help: ArgumentHelp("The domain of both (default Default).", valueName: "name"))
    var keystoneDomain: String?

    @Option(help: ArgumentHelp("File with the service user's password.", valueName: "file"))
    var keystonePasswordFile: String?

    @Option(help: ArgumentHelp("PEM file of who signs Keystone's certificate.", valueName: "file"))
    var keystoneCacert: String?

    @Option(help: ArgumentHelp("Seconds for which its answers are good (default 300).", valueName: "seconds"))
    var keystoneCache: String?

    @Option(
        help: ArgumentHelp(
            "PEM file with the TCP address's certificate chain; read again on SIGHUP.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("PEM file with its key, which others cannot read.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp("File with rules in the place of the built-in ones (docs/security.md).", valueName: "file"))
    var policy: String?

    @Option(help: ArgumentHelp("File for the audit (default: the log); opened again on SIGHUP.", valueName: "file"))
    var auditLog: String?

    package init() {}

    /// What was said replaces what `settings` has.
    func apply(to settings: inout ServeIdentitySettings) {
        let said = [
            auth, authProject, keystoneUrl, keystoneUser, keystoneProject, keystoneDomain, keystonePasswordFile,
            keystoneCacert, keystoneCache, tlsCertificate, tlsKey, policy, auditLog,
        ]
        for (key, value) in zip(ServeIdentitySettings.keys, said) {
            if let value { settings[key] = value }
        }
    }
}
