// swift-tools-version: 6.3
// Benchmarks of Heliostat, a package of their own so that the product's build does not wait for them.
// `make bench` runs them; each is one executable that prints a table.

import PackageDescription

let package = Package(
    name: "heliostat-benchmarks",
    dependencies: [.package(name: "heliostat", path: "..")],
    targets: [
        .executableTarget(name: "FrameLoop", dependencies: [.product(name: "FastPath", package: "heliostat")])
    ],
    swiftLanguageModes: [.v6]
)
