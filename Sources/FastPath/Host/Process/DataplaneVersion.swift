/// Version of this dataplane, as `--version` and `status` say it.
package let dataplaneVersion = "0.1.0"
