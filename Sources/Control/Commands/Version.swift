// The version of both programs' package, as `--version` prints it.

/// Semantic version of this source tree.
package let heliostatVersion = "0.1.0"
