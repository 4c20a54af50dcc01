// The version of the control process, shown in /v2.0/heliostat/status and by `heliostat --version`.

/// Semantic version of Heliostat.
package let heliostatVersion = "0.1.0"
