print("heliostat-dataplane")
