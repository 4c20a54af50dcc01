/* libpcap for Swift: its compiler of filter expressions. */
#pragma once
#include <pcap/pcap.h>
