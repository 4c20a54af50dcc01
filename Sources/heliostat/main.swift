print("heliostat")
