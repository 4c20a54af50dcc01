// swift-tools-version: 6.3
// The targets of Heliostat in dependency order: CShims <- FastPath -> MirrorProgram <- Control.
// Tests/ImportTests keeps the import lines so; docs/architecture.md says why.

import PackageDescription

let base: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

// The hot module is built for a CPU with AVX2, BMI and MOVBE; heliostat-dataplane checks for them at start.
#if arch(x86_64)
let hot: [SwiftSetting] = base + [.unsafeFlags(["-Xcc", "-march=x86-64-v3"])]
let cpu: [CSetting] = [.unsafeFlags(["-march=x86-64-v3"])]
#else
let hot: [SwiftSetting] = base
let cpu: [CSetting] = []
#endif

// Tests that do not look at frames in any number are compiled in half the time.
let unhurried: [SwiftSetting] = base + [.unsafeFlags(["-Onone"])]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "heliostat",
    products: [
        .executable(name: "heliostat", targets: ["heliostat"]),
        .executable(name: "heliostat-dataplane", targets: ["heliostat-dataplane"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration.git", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        // C: what Swift cannot say, and the libraries of the kernel's side.
        .target(name: "CShims", path: "Sources/CShims/kernel"),
        .systemLibrary(
            name: "CLibBPF", path: "Sources/CShims/libbpf", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev"])]),
        .systemLibrary(
            name: "CLibPCAP", path: "Sources/CShims/libpcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev"])]),
        .systemLibrary(
            name: "CLibCrypto", path: "Sources/CShims/libcrypto", pkgConfig: "libcrypto",
            providers: [.apt(["libssl-dev"])]),

        // The way of a frame.
        .target(
            name: "MirrorProgram", path: "Sources/FastPath/Program", exclude: ["README.md"], swiftSettings: base),
        .target(
            name: "PacketFilter", dependencies: ["CLibPCAP", "MirrorProgram"], path: "Sources/FastPath/Filter",
            swiftSettings: base),
        .target(
            name: "FastPath", dependencies: ["CShims", "MirrorProgram"], path: "Sources/FastPath/Datapath",
            swiftSettings: hot),
        .target(
            name: "FastPathHost",
            dependencies: ["CShims", "CLibBPF", "MirrorProgram", "PacketFilter", "FastPath", log],
            path: "Sources/FastPath/Host", swiftSettings: base, plugins: ["CompileBPF"]),
        .plugin(name: "CompileBPF", capability: .buildTool()),
        .executableTarget(
            name: "heliostat-dataplane", dependencies: ["FastPathHost", "MirrorProgram", log, argumentParser],
            swiftSettings: base),

        // The way of an intent.
        .target(
            name: "ControlModel", dependencies: ["MirrorProgram"], path: "Sources/Control/Model", swiftSettings: base),
        .target(
            name: "ControlStore",
            dependencies: ["ControlModel", .product(name: "GRDB", package: "GRDB.swift")],
            path: "Sources/Control/Store", swiftSettings: base),
        .target(
            name: "ControlIdentity",
            dependencies: [
                "ControlModel", "CLibCrypto", log,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            path: "Sources/Control/Identity", swiftSettings: base),
        .target(
            name: "ControlAPI",
            dependencies: [
                "ControlModel", "ControlStore", "ControlIdentity", "ControlTelemetry", "PacketFilter", log,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            path: "Sources/Control/API", swiftSettings: base),
        .target(
            name: "ControlReconcile",
            dependencies: ["ControlModel", "ControlStore", "ControlTelemetry", "MirrorProgram", "PacketFilter", log],
            path: "Sources/Control/Reconcile", swiftSettings: base),
        .target(
            name: "ControlTelemetry",
            dependencies: ["ControlModel", "MirrorProgram", .product(name: "Metrics", package: "swift-metrics")],
            path: "Sources/Control/Telemetry", swiftSettings: base),
        .target(
            name: "ControlCommands",
            dependencies: [
                "ControlModel", "ControlStore", "ControlIdentity", "ControlAPI", "ControlReconcile", "ControlTelemetry",
                log, argumentParser,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Control/Commands", swiftSettings: base),
        .executableTarget(
            name: "heliostat", dependencies: ["ControlCommands", "ControlModel", "Demo", argumentParser],
            swiftSettings: base),

        // Namespaces, paced senders and counting receivers: the witness of the demo, the tests and the benchmarks.
        .target(name: "Lab", dependencies: ["CShims"], swiftSettings: base),
        .target(name: "Demo", dependencies: ["Lab", argumentParser], swiftSettings: base),

        // The worker's loop beside the same in C: `make bench`, and Tests/frameloop, which counts instructions.
        .target(
            name: "FrameLoopReference", dependencies: ["CShims"], path: "Benchmarks/Sources/FrameLoopReference",
            cSettings: cpu),
        .executableTarget(
            name: "FrameLoop", dependencies: ["FastPath", "FrameLoopReference", "MirrorProgram", "CShims"],
            path: "Benchmarks/Sources/FrameLoop", swiftSettings: base),

        .testTarget(name: "ImportTests", swiftSettings: base),
        .testTarget(name: "MirrorProgramTests", dependencies: ["MirrorProgram"], swiftSettings: base),
        .testTarget(name: "PacketFilterTests", dependencies: ["PacketFilter", "MirrorProgram"], swiftSettings: base),
        .target(
            name: "FilterCases", dependencies: ["CLibPCAP", "PacketFilter", "MirrorProgram"], path: "Tests/FilterCases",
            swiftSettings: base),
        .testTarget(
            name: "FastPathTests", dependencies: ["FastPath", "MirrorProgram", "CShims", "FilterCases"],
            swiftSettings: unhurried),
        .testTarget(
            name: "FastPathHostTests",
            dependencies: ["FastPathHost", "FastPath", "MirrorProgram", "CShims", "CLibBPF", "FilterCases"],
            swiftSettings: base),
        .testTarget(
            name: "ControlTests",
            dependencies: [
                "ControlModel", "ControlStore", "ControlIdentity", "ControlAPI", "ControlReconcile", "ControlTelemetry",
                "ControlCommands", "MirrorProgram", argumentParser, log,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: unhurried),
        .testTarget(name: "LabTests", dependencies: ["Lab", "CShims"], swiftSettings: base),
        .testTarget(name: "Promises", dependencies: ["Lab", "MirrorProgram", "CShims"], swiftSettings: base),
    ],
    swiftLanguageModes: [.v6]
)
